"""Where and when the figures were taken."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from bench.wrk import wrk_version


def wrk() -> str:
    """The load generator of everything that is asked over HTTP and answered at once. Raises `WrkError` without it."""
    return f"{wrk_version()}, one thread, on the same machine"


def describe(load_generator: str) -> dict[str, str]:
    """What a reader needs to judge the absolute figures; the load average is the present one."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "load generator": load_generator,
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
