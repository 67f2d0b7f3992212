"""What a failure means for the rest of the chain."""

from __future__ import annotations

from enum import StrEnum

from penstock.core.errors import (
    BadInput,
    Cancelled,
    ContentFiltered,
    ContextExceeded,
    CrashLooping,
    DeadlineExceeded,
    Draining,
    Forbidden,
    Loading,
    NotAccepted,
    NotOffered,
    Overloaded,
    PenstockError,
    ProviderFailed,
    QuotaExceeded,
    RequestRefused,
    Unauthenticated,
    Unavailable,
    UnknownModel,
    Unloaded,
    Unsupported,
)


class Verdict(StrEnum):
    """FINAL: nobody else would do better, or time is over. ELSEWHERE: this model cannot, another may. AGAIN: this model
    may on a second try, too."""

    FINAL = "final"
    ELSEWHERE = "elsewhere"
    AGAIN = "again"


_FINAL = (BadInput, Cancelled, DeadlineExceeded, RequestRefused, Unauthenticated, Forbidden)
_AGAIN = (ProviderFailed, Unavailable)
_BUSY = (Overloaded, Loading, Unloaded, Draining)
_HERE_ONLY = (
    UnknownModel,
    ContextExceeded,
    NotOffered,
    NotAccepted,
    ContentFiltered,
    Unsupported,
    QuotaExceeded,
    CrashLooping,
    *_BUSY,
)
_INNOCENT = (*_FINAL, *_BUSY, UnknownModel, Unsupported)


def verdict(error: PenstockError) -> Verdict:
    """What to do after this error of one target.

    A request that is wrong is wrong for every model, unless it was only too long, asked for what this model lacks, or
    breaks a rule of one provider only.
    """
    if isinstance(error, _HERE_ONLY):
        return Verdict.ELSEWHERE
    if isinstance(error, _FINAL):
        return Verdict.FINAL
    if isinstance(error, _AGAIN) and error.may_retry:
        return Verdict.AGAIN
    return Verdict.ELSEWHERE


def blames(error: PenstockError) -> bool:
    """Whether the target is to blame, and not the request, the caller, or how many they are: who is only busy says so
    himself."""
    return not isinstance(error, _INNOCENT)


def of_the_request(error: PenstockError) -> bool:
    """Whether the request is to blame, and another time would not help."""
    return isinstance(error, BadInput | Unsupported)
