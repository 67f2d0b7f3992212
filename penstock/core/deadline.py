"""When a request must be answered, as a moment on the clock; one for the whole path."""

from __future__ import annotations

import math

Deadline = float
NEVER: Deadline = math.inf


def after(now: float, timeout_s: float | None) -> Deadline:
    """The moment `timeout_s` seconds from `now`; never, when there is no timeout."""
    return NEVER if timeout_s is None else now + timeout_s
