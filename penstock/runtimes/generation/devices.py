"""Whether this machine has a GPU, and how much of its memory is free; told without loading a library for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

_SECONDS = 20


class Gpu(NamedTuple):
    """Memory of one GPU, in bytes."""

    name: str
    total: int
    free: int


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU that this process may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(Path("/dev").glob("nvidia[0-9]*")) or (Path("/dev/dxg").exists() and bool(shutil.which("nvidia-smi")))


def gpu(device: str) -> Gpu | None:
    """The GPU that "auto", "cuda" or "cuda:N" means, as nvidia-smi sees it; None when that cannot be told."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [
        program,
        "--query-gpu=name,memory.total,memory.free",
        "--format=csv,noheader,nounits",
        f"--id={_id(device)}",
    ]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
        name, total, free = said.strip().splitlines()[0].rsplit(",", 2)
        return Gpu(name.strip(), int(total) * 2**20, int(free) * 2**20)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def _id(device: str) -> str:
    """As nvidia-smi counts: CUDA_VISIBLE_DEVICES may have renamed them."""
    number = int(device.partition(":")[2] or 0)
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    return visible[number] if number < len(visible) else str(number)
