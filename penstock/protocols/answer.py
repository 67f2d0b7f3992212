"""What every door needs to ask the path and to answer from it."""

from __future__ import annotations

from typing import Any

from penstock.core.clock import Clock
from penstock.core.deadline import NEVER, Deadline
from penstock.core.errors import BadInput
from penstock.core.model import ModelView
from penstock.core.reply import Meta
from penstock.core.tensors import Tensors
from penstock.protocols.http.message import Headers
from penstock.protocols.provenance import provenance
from penstock.protocols.texts import truncated_rows

MAX_TIMEOUT_MS = 86_400_000.0
MAX_PRIORITY = 9
DEFAULT_LEVEL = 1


def reply_headers(meta: Meta, outputs: Tensors) -> Headers:
    """Who answered and how (`provenance`); Server-Timing (milliseconds) for queue, batch and compute; how many rows
    were known before, of how many, where answers are kept; and how many were cut to what the model reads, if any were.
    `outputs` are the reply's, whole."""
    durations = (meta.queue_s * 1000, meta.batch_s * 1000, meta.compute_s * 1000)
    headers = provenance(meta)
    headers.append((b"server-timing", b"queue;dur=%.3f, batch;dur=%.3f, compute;dur=%.3f" % durations))
    if meta.cached_rows is not None:
        rows = next((tensor.array.shape[0] for tensor in outputs.values()), 0)
        headers.append((b"x-penstock-cached", b"%d/%d" % (meta.cached_rows, rows)))
    if cut := truncated_rows(outputs):
        headers.append((b"x-penstock-truncated", b"%d" % len(cut)))
    return headers


def about(model: ModelView) -> dict[str, Any]:
    """What is known of a model beside its signature's tensors: its task, precision, where it came from, its report."""
    signature, spec = model.signature, model.spec
    known: dict[str, Any] = {} if signature is None or not signature.task else {"task": signature.task}
    if signature is not None and signature.max_tokens is not None:
        known["max_tokens"] = signature.max_tokens
    if spec.precision:
        known["precision"] = spec.precision
    return known | spec.details


def deadline_of(timeout_ms: float | None, clock: Clock) -> Deadline:
    """The moment a request must be answered by. Raises `BadInput` for a senseless timeout."""
    if timeout_ms is None:
        return NEVER
    if not 0 < timeout_ms <= MAX_TIMEOUT_MS:
        raise BadInput(f"timeout_ms must be over 0 and at most {MAX_TIMEOUT_MS:.0f}, got {timeout_ms}")
    return clock() + timeout_ms / 1000


def priority_of(priority: int | None) -> int:
    """The scheduler's level for a client's priority (1 the highest; 0 and none: the default, 1... 9).

    Raises `BadInput` outside 0 to 9.
    """
    if not priority:
        return DEFAULT_LEVEL
    if not 0 < priority <= MAX_PRIORITY:
        raise BadInput(f"priority must be between 0 and {MAX_PRIORITY}, got {priority}")
    return priority - 1


def chosen(outputs: Tensors, names: tuple[str, ...] | None) -> Tensors:
    """The wanted outputs in the wanted order; all without a wish."""
    return outputs if names is None else {name: outputs[name] for name in names}
