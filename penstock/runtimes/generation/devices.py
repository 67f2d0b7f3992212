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


def gpus(device: str) -> list[Gpu]:
    """The GPUs that this process may see, from the one that "cuda" or "cuda:N" means on; none when nobody tells."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
        found = dict(pair for line in said.strip().splitlines() for pair in _described(line))
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return _visible(found)[int(device.partition(":")[2] or 0) :]


def _described(line: str) -> list[tuple[str, Gpu]]:
    """A GPU by its number and by its name of its own."""
    number, own, rest = (part.strip() for part in line.split(",", 2))
    name, total, free = rest.rsplit(",", 2)
    described = Gpu(name.strip(), int(total) * 2**20, int(free) * 2**20)
    return [(number, described), (own, described)]


def _visible(found: dict[str, Gpu]) -> list[Gpu]:
    """In the order in which CUDA_VISIBLE_DEVICES names them, by number or by the beginning of their own name."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return [described for name, described in found.items() if name.isdigit()]
    named = [name.strip() for name in said.split(",") if name.strip()]
    return [described for name in named for own, described in found.items() if own == name or _begins(own, name)]


def _begins(own: str, name: str) -> bool:
    return not name.isdigit() and own.startswith(name)


def _id(device: str) -> str:
    """As nvidia-smi counts: CUDA_VISIBLE_DEVICES may have renamed them."""
    number = int(device.partition(":")[2] or 0)
    visible = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    return visible[number] if number < len(visible) else str(number)
