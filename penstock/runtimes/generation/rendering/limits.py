"""What the child of a renderer may use. It sets its own limits before it reads a template."""

from __future__ import annotations

import contextlib
import math
import signal

GRACE_S = 1.0
"""How much longer than its renderer the child waits before it ends itself: for the case that nobody ends it."""


def limit_process(memory: int) -> None:
    """At most `memory` bytes of address space; no new processes, no files written, hardly any opened."""
    import resource

    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_NOFILE: 8,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def end_after(seconds: float) -> None:
    """Ends the process when it still works at that time; 0 takes it back."""
    signal.setitimer(signal.ITIMER_REAL, math.ceil(seconds + GRACE_S) if seconds else 0)
