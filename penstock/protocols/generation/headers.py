"""What the headers of generated text tell: who answers, and what it took so far."""

from __future__ import annotations

from penstock.core.reply import Meta
from penstock.protocols.http.message import Headers
from penstock.protocols.provenance import provenance


def generation_headers(meta: Meta) -> Headers:
    """Who answers and how (`provenance`), and Server-Timing in milliseconds: waiting for a place, to the first token,
    and, where the answer is whole, to its end."""
    times = [("queue", meta.queue_s), ("first", meta.first_s), ("total", meta.total_s)]
    timing = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in times if seconds or name == "queue")
    return [*provenance(meta), (b"server-timing", timing.encode())]
