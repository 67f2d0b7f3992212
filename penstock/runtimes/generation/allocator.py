"""How this process takes memory from the system, where the C library lets one say (glibc)."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 4 * 2**20
_KEPT = 64 * 2**20


def give_back_large() -> None:
    """From now on, blocks over 4 MB go back to the system as soon as they are freed.

    A key-value cache that grows is copied again and again; the places that it leaves would otherwise stay with the
    process, and add up to as much as the cache. Where the library is another one, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(ctypes.c_int(_MMAP_THRESHOLD), ctypes.c_int(_LARGE))
    mallopt(ctypes.c_int(_TRIM_THRESHOLD), ctypes.c_int(_KEPT))
