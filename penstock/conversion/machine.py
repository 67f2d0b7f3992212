"""What this machine's processor and devices can do, told without loading a library for it."""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_BF16 = ("amx_bf16", "avx512_bf16", "bf16")
_VNNI = ("avx512_vnni", "avx_vnni", "avx512vnni", "asimddp")
_PROBE = "import torch; print(torch.cuda.is_available(), torch.cuda.is_available() and torch.cuda.is_bf16_supported())"
_PROBE_S = 120


@functools.cache
def processor_flags() -> frozenset[str]:
    """The processor's instructions, as Linux names them; none elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    line = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return frozenset(line.partition(":")[2].split())


def has_vnni() -> bool:
    """Whether products of 8-bit integers are added up without overflow."""
    return bool(processor_flags().intersection(_VNNI))


def kind() -> str:
    """What of the processor decides how a model is converted."""
    found = [name for name, flags in (("bf16", _BF16), ("vnni", _VNNI)) if processor_flags().intersection(flags)]
    return "+".join(found) or "plain"


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cuda_arithmetic() -> str | None:
    """The 16-bit arithmetic of the GPU that PyTorch can use here, "bf16" or "f16"; None when there is none.

    Signs that cost nothing come first (a CUDA build of PyTorch, an NVIDIA device, CUDA_VISIBLE_DEVICES); only where
    they speak for it, a process of its own asks PyTorch, so that a server never imports it.
    """
    return _asked_of_torch() if _may_have_cuda() else None


@functools.cache
def _asked_of_torch() -> str | None:
    command = [sys.executable, "-P", "-c", _PROBE]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    words = asked.stdout.split()
    if asked.returncode or words[:1] != ["True"]:
        return None
    return "bf16" if words[1] == "True" else "f16"


def _may_have_cuda() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1", "none"):
        return False
    devices = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("dxg")]
    return bool(devices) and importlib.util.find_spec("torch") is not None and not _cpu_build()


def _cpu_build() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine()
