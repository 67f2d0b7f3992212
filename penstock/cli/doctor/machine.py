"""The machine: Python, cores, memory, open files, ports, GPU."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import sys
from pathlib import Path

from penstock.cli.doctor.finding import Finding
from penstock.config.schema import DEFAULT_PORT

OLDEST = (3, 11)
ENOUGH_FILES = 4096
ENOUGH_MEMORY = 512 * 2**20
GIB = 2**30


def python() -> Finding:
    """Whether this Python is new enough."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info >= OLDEST:
        return Finding("python", "ok", found)
    return Finding("python", "broken", found, f"install Python {OLDEST[0]}.{OLDEST[1]} or newer")


def cores() -> Finding:
    """How many cores the workers can share."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    if quota is not None and quota < usable:
        fix = f"set threads and replicas of the models so that together they use at most {max(1, int(quota))}"
        return Finding("cores", "note", f"{usable}, but the container may use {quota:g} at once", fix)
    return Finding("cores", "ok", str(usable))


def cpu_quota(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> float | None:
    """Cores that the container may use; None without a limit."""
    try:
        quota, period = file.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None


def memory() -> Finding:
    """How much memory is left for models."""
    left = min((size for size in (memory_left(), container_left()) if size is not None), default=None)
    if left is None:
        return Finding("memory", "note", "unknown on this system")
    found = f"{left / GIB:.1f} GiB free"
    if left < ENOUGH_MEMORY:
        return Finding("memory", "note", found, "free some memory: each worker holds its own copy of its model")
    return Finding("memory", "ok", found)


def memory_left(file: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that the system can still give."""
    try:
        lines = dict(line.split(":", 1) for line in file.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None


def container_left(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the container may still take; None without a limit."""
    try:
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return None


def open_files() -> Finding:
    """How many connections the system lets one process hold."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard} per process"
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_FILES:
        fix = "raise it where the server is started: ulimit -n 65536, or LimitNOFILE=65536 in systemd"
        return Finding("open files", "note", found, fix)
    return Finding("open files", "ok", found)


def port(number: int = DEFAULT_PORT) -> Finding:
    """Whether the usual port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            return Finding(f"port {number}", "note", f"taken ({error.strerror})", "serve elsewhere: --port 8080")
    return Finding(f"port {number}", "ok", "free")


def gpu() -> Finding:
    """Whether an NVIDIA GPU is there, and whether ONNX Runtime can use it."""
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return Finding("gpu", "ok", "none; models run on the CPU")
    if "CUDAExecutionProvider" in onnx_providers():
        return Finding("gpu", "ok", "NVIDIA, and ONNX Runtime can use it")
    fix = "for ONNX models on it: pip uninstall onnxruntime; pip install onnxruntime-gpu"
    return Finding("gpu", "note", "NVIDIA, but ONNX Runtime here runs on the CPU alone", fix)


def onnx_providers() -> list[str]:
    """What the installed ONNX Runtime can run on; empty without it."""
    try:
        import onnxruntime
    except Exception:
        return []
    providers: list[str] = onnxruntime.get_available_providers()
    return providers
