"""What the ledger keeps of a request that has ended, and the tokens that it took."""

from __future__ import annotations

from penstock.admission.limits.claim import Claim, prompt_size, text_size
from penstock.core.errors import CALLERS_END, PenstockError
from penstock.core.generation import Generated, Generation, Usage
from penstock.core.ledger import Entry
from penstock.core.reply import Meta, Outcome
from penstock.core.request import Request
from penstock.core.text import TEXT, usage_of_texts

NO_TOKENS = Usage()


def usage_of(request: Request, meta: Meta, outcome: Outcome, claim: Claim) -> Usage | None:
    """The tokens that a request took; None for one that does not count in tokens.

    Where a caller left while the prompt was being read, it counts as expected: leaving early must not be a way around
    limits.
    """
    if isinstance(request.payload, Generation) and request.payload.count_only:
        return None
    if meta.usage is not None:
        return meta.usage
    if isinstance(outcome, Generated):
        return outcome.usage
    if not isinstance(outcome, PenstockError):
        return usage_of_texts(request.payload, outcome)
    return _read(request, claim) if meta.model and isinstance(outcome, CALLERS_END) else None


def _read(request: Request, claim: Claim) -> Usage | None:
    """What a caller who left early had read for him: as expected."""
    payload = request.payload
    if isinstance(payload, Generation):
        return Usage(round(claim.prompt or prompt_size(payload)))
    return Usage(round(claim.prompt or text_size(payload))) if TEXT in payload else None


def entry_of(
    request: Request,
    meta: Meta,
    outcome: Outcome,
    usage: Usage | None,
    *,
    at: float,
    total_s: float,
    premium: float | None,
) -> Entry:
    """The entry of an ended request. `at`: wall clock of its end; `total_s`: from its arrival to its end."""
    principal, used = request.principal, usage or NO_TOKENS
    failed = isinstance(outcome, PenstockError)
    return Entry(
        id=request.id,
        at=at,
        tenant=principal.tenant,
        key=principal.key,
        name=request.model,
        route=meta.route,
        model=meta.model,
        version=meta.version,
        why=meta.why,
        tries=meta.tries,
        status=outcome.status if isinstance(outcome, PenstockError) else 200,
        code=outcome.code if isinstance(outcome, PenstockError) else "",
        cache=meta.cache,
        degraded=meta.degraded,
        rows=rows_of(request),
        prompt_tokens=used.prompt_tokens,
        cached_tokens=used.cached_tokens,
        completion_tokens=used.completion_tokens,
        queue_s=meta.queue_s,
        first_s=meta.first_s,
        total_s=total_s,
        busy_s=meta.busy_s,
        cost=0.0 if failed and not meta.model else meta.cost,
        premium=premium,
        features=meta.features,
    )


def rows_of(request: Request) -> int:
    """Rows that were sent; 1 for a question to a language model."""
    payload = request.payload
    if isinstance(payload, Generation):
        return 1
    for tensor in payload.values():
        shape = tensor.array.shape
        return shape[0] if shape else 1
    return 1
