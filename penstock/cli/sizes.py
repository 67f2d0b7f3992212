"""Numbers of bytes as people read them."""

from __future__ import annotations


def bytes_name(count: float) -> str:
    """Such as 986 MiB or 4.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if count < 10 and unit != "B" else f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
