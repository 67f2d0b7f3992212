"""What a failure means for the rest of the chain."""

from __future__ import annotations

from enum import StrEnum

from penstock.core.errors import (
    BadInput,
    Cancelled,
    ContextExceeded,
    DeadlineExceeded,
    Forbidden,
    PenstockError,
    ProviderFailed,
    QuotaExceeded,
    RequestRefused,
    Unauthenticated,
    Unavailable,
    UnknownModel,
    Unsupported,
)


class Verdict(StrEnum):
    """FINAL: nobody else would do better, or time is over. ELSEWHERE: this model cannot, another may. AGAIN: this model
    may on a second try, too."""

    FINAL = "final"
    ELSEWHERE = "elsewhere"
    AGAIN = "again"


_FINAL = (BadInput, Cancelled, DeadlineExceeded, RequestRefused, Unauthenticated, Forbidden, UnknownModel)
_AGAIN = (ProviderFailed, Unavailable)


def verdict(error: PenstockError) -> Verdict:
    """What to do after this error of one target.

    A request that is wrong is wrong for every model, unless it was only too long or asked for what this model lacks.
    """
    if isinstance(error, ContextExceeded | Unsupported | QuotaExceeded):
        return Verdict.ELSEWHERE
    if isinstance(error, _FINAL):
        return Verdict.FINAL
    if isinstance(error, _AGAIN) and error.may_retry:
        return Verdict.AGAIN
    return Verdict.ELSEWHERE


def blames(error: PenstockError) -> bool:
    """Whether the target is to blame, and not the request or the caller."""
    innocent = (BadInput, Cancelled, DeadlineExceeded, Forbidden, RequestRefused, Unauthenticated, Unsupported)
    return not isinstance(error, innocent)
