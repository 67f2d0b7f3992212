"""How much memory is free: of the machine, of the container that this process is in, and of a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from penstock.runtimes.generation import devices

_GROUPS = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
# What a group of version 1 says when it has no limit.
_ENDLESS = 2**60


def of_machine() -> int | None:
    """Bytes that new processes may take without swapping; None where the system does not tell."""
    found = [size for size in (_of_system(), *_of_groups()) if size is not None]
    return min(found) if found else _physical()


def of_gpu(device: str) -> int | None:
    """Bytes free on a GPU; None where nvidia-smi does not tell."""
    found = devices.gpu(device)
    return found.free if found is not None else None


def _of_system() -> int | None:
    try:
        lines = _MEMORY.read_text().splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith("MemAvailable:")), [])
    return int(found[1]) * 1024 if len(found) > 1 and found[1].isdigit() else None


def _of_groups() -> Iterator[int]:
    """What is left in each control group that this process is in."""
    for folder in _groups("", _GROUPS):
        yield from _left(folder / "memory.max", folder / "memory.current", folder, "inactive_file")
    for folder in _groups("memory", _GROUPS / "memory"):
        limit, used = folder / "memory.limit_in_bytes", folder / "memory.usage_in_bytes"
        yield from _left(limit, used, folder, "total_inactive_file")


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The group's folder and those above it; inside a container, its own group is the root."""
    try:
        lines = [line.split(":", 2) for line in _OWN_GROUPS.read_text().splitlines()]
    except OSError:
        return
    for line in lines:
        if len(line) == 3 and controller in line[1].split(","):
            folder = root / line[2].strip("/")
            yield from (each for each in (folder, *folder.parents) if each.is_relative_to(root))


def _left(limit: Path, used: Path, folder: Path, reclaimable: str) -> Iterator[int]:
    most, now = _number(limit), _number(used)
    if most is not None and now is not None and most < _ENDLESS:
        yield max(0, most - now + _statistic(folder, reclaimable))


def _statistic(folder: Path, name: str) -> int:
    """Cached files, which the kernel gives back when memory is wanted."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _physical() -> int | None:
    """All that the machine has, where nothing says how much of it is free."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
