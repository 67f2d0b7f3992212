"""Ids of answers, as their protocols show them: unique, and nobody's secret."""

from __future__ import annotations

import random

_RANDOM = random.Random()


def token(size: int) -> str:
    """`size` random bytes in hexadecimal. The operating system is asked once, not for every answer."""
    return _RANDOM.randbytes(size).hex()
