"""What this machine costs by the hour, where nobody said: what a rented one of its size would cost."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

CHECKED = "2025-06-30"
"""When these were last compared with what AWS publishes (on demand, us-east-1, https://aws.amazon.com/ec2/pricing).
Only an order of size: other clouds ask less than half for the large GPUs. Your own figure is `prices: machine`."""
CORE = 0.0504
"""USD per hour of a virtual core (m7i)."""
GPUS = {
    "T4": 0.526,
    "L40S": 1.861,
    "L4": 0.805,
    "A10G": 1.006,
    "A100-80GB": 3.43,
    "A100": 2.745,
    "H100": 6.88,
    "H200": 7.91,
}
"""USD per hour of a GPU with its share of the host, by words of its name (g4dn, g6e, g6, g5, p4de, p4d, p5, p5en); the
first that fits counts."""
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def gpus(listed: Path = _NVIDIA) -> tuple[str, ...]:
    """The names of this machine's NVIDIA GPUs, as the driver lists them; none where that cannot be told."""
    found = []
    for file in sorted(listed.glob("*/information")):
        try:
            named = re.search(r"^Model:\s*(.+)$", file.read_text(), re.MULTILINE)
        except OSError:
            continue
        found.append(named[1].strip() if named else "")
    return tuple(found)


def hourly(count: int, names: tuple[str, ...]) -> float | None:
    """USD per hour for `count` cores, or for GPUs of these names with their host; None when one has no price."""
    if not names:
        return CORE * count
    known = [_of_gpu(name) for name in names]
    return None if None in known else sum(price for price in known if price is not None)


def _of_gpu(name: str) -> float | None:
    words = re.split(r"[\s-]+", name.upper())
    return next((price for kind, price in GPUS.items() if set(kind.split("-")).issubset(words)), None)
