"""What an HTTP client may send, and how slowly."""

from __future__ import annotations

import msgspec


class HttpLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on every connection; sizes in bytes, times in seconds."""

    body: int = 64 * 2**20
    """A request's body, also after decompression (413)."""
    bodies: int = 2**30
    """Large bodies that are being received or answered, together; more are refused with 503."""
    head: int = 64 * 2**10
    """Request line and headers together (431)."""
    chunks: int = 65_536
    """Chunks in a chunked body (413)."""
    head_s: float = 10.0
    """Time for a request's head to arrive (408)."""
    body_grace_s: float = 15.0
    """Time that a body may take before its rate counts (408)."""
    body_rate: int = 16 * 2**10
    """Bytes per second that a body must reach after the grace (408)."""
    idle_s: float = 75.0
    """How long an idle connection is kept."""
    write_stall_s: float = 30.0
    """How long a client may read nothing of its answer, and the time before its rate counts."""
    write_rate: int = 4 * 2**10
    """Bytes per second that a client must read of its answer after that time."""
    connections: int = 10_000
    """Connections at once; more are refused with 503."""
