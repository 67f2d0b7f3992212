"""What the headers of generated text tell: who answers, and what it took so far."""

from __future__ import annotations

from penstock.core.reply import Meta
from penstock.protocols.http.message import Headers


def generation_headers(meta: Meta) -> Headers:
    """X-Penstock-Model (model@version) and Server-Timing in milliseconds: waiting for a place, to the first token, and,
    where the answer is whole, to its end."""
    times = [("queue", meta.queue_s), ("first", meta.first_s), ("total", meta.total_s)]
    timing = ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in times if seconds or name == "queue")
    return [(b"x-penstock-model", f"{meta.model}@{meta.version}".encode()), (b"server-timing", timing.encode())]
