"""The error tree: what can go wrong, and what the caller is told.

    PenstockError
    ├── BadInput                400  INVALID_ARGUMENT     the request itself is wrong
    │   ├── ContextExceeded     400  INVALID_ARGUMENT     prompt and answer do not fit the model's context
    │   ├── NotOffered          400  INVALID_ARGUMENT     this model cannot do what is asked; another may
    │   ├── ContentFiltered     400  INVALID_ARGUMENT     a provider's safety filter withheld the answer
    │   ├── NotAccepted         400  INVALID_ARGUMENT     a provider finds the request wrong; another may not
    │   ├── BadRows             400  INVALID_ARGUMENT     some rows of a batch are (inside; callers get BadInput)
    │   ├── SlowClient          408  DEADLINE_EXCEEDED    head or body came too slowly
    │   ├── TooLarge            413  RESOURCE_EXHAUSTED   a body, tensor or list over its limit
    │   ├── UnsupportedMedia    415  INVALID_ARGUMENT     content type or encoding not spoken here
    │   └── HeadTooLarge        431  INVALID_ARGUMENT     request line and headers over their limit
    ├── Unauthenticated         401  UNAUTHENTICATED      no key, or a wrong one
    ├── Forbidden               403  PERMISSION_DENIED    the key does not allow this
    ├── NotFound                404  NOT_FOUND            no such path
    │   └── UnknownModel        404  NOT_FOUND            no such model or version
    ├── MethodNotAllowed        405  UNIMPLEMENTED        the path exists, the verb does not
    ├── Conflict                409  FAILED_PRECONDITION  the state does not allow it now
    ├── QuotaExceeded           429  RESOURCE_EXHAUSTED   *your* quota
    │   └── BudgetSpent         429  RESOURCE_EXHAUSTED   *your* money for this day or month
    ├── Cancelled               499  CANCELLED            the client went away (logged, never sent)
    ├── Internal                500  INTERNAL             ours
    │   ├── ModelFailed         500  INTERNAL             the model's code raised
    │   └── RequestRefused      500  INTERNAL             this very request killed two workers
    ├── Unsupported             501  UNIMPLEMENTED        known, and not built for this model
    ├── ProviderFailed          502  UNAVAILABLE          a remote provider's fault
    │   ├── ProviderThrottled   502  UNAVAILABLE          the provider's own quota is used up for now
    │   ├── ProviderSilent      502  UNAVAILABLE          the provider did not begin to answer in time
    │   └── ProviderRefused     502  UNAVAILABLE          the provider does not accept the server's key
    ├── Unavailable             503  UNAVAILABLE          try again later
    │   ├── Overloaded          503  UNAVAILABLE          the queue is full
    │   ├── Loading             503  UNAVAILABLE          the model is not ready yet
    │   ├── Unloaded            503  UNAVAILABLE          the model was unloaded on purpose
    │   ├── Draining            503  UNAVAILABLE          the server is stopping
    │   ├── WorkerLost          503  UNAVAILABLE          the worker died under the request
    │   └── CrashLooping        503  UNAVAILABLE          the model's workers keep dying
    ├── DeadlineExceeded        504  DEADLINE_EXCEEDED    the time given has passed
    ├── NotCached               504  NOT_FOUND            no kept answer, and the caller wants no other
    └── SetupError              (exit status 2)           before serving: files and settings
        ├── ConfigError         a setting is wrong; names file, line and nearest key
        ├── ModelFileError      a model file cannot be loaded; says why
        │   ├── UntrustedFile   it would run code, and nobody vouched for it
        │   └── HubUnreachable  the hub is away for now (clients get ProviderFailed)
        └── MissingExtra        a library is absent; names the extra to install

A message says what to do and carries no path, address or traceback: it goes to the client.
`detail` is for the log alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from penstock.core.quota import Quota


class PenstockError(Exception):
    """Root of every error that Penstock raises on purpose."""

    status: ClassVar[int] = 500
    grpc: ClassVar[str] = "INTERNAL"
    code: ClassVar[str] = "internal"
    may_retry: ClassVar[bool] = False

    def __init__(self, message: str, *, detail: str | None = None, retry_after_s: float | None = None):
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.retry_after_s = retry_after_s


class BadInput(PenstockError):
    """The request itself is wrong; sending it again cannot help."""

    status, grpc, code = 400, "INVALID_ARGUMENT", "bad_input"
    param: str | None = None
    """The field of the message that is to blame, for protocols that have a place for it."""
    row: int | None = None
    """The row of the request that is to blame, where one is; a message about one of several begins with "row N: "."""


class BadRows(BadInput):
    """Some rows of a batch are wrong, and the others are not: `reasons` says why, by row number.

    A runtime raises it before it computes anything; the scheduler refuses the requests that these rows belong to
    and runs the others again, together.
    """

    code = "bad_rows"

    def __init__(self, reasons: Mapping[int, str]):
        super().__init__(next(iter(reasons.values()), "bad rows"))
        self.reasons = dict(reasons)


class ContextExceeded(BadInput):
    """The prompt, or the prompt and the answer asked for, are longer than the model's context."""

    code = "context_length_exceeded"


class NotOffered(BadInput):
    """This model cannot do what the request asks for; another one may."""

    code = "not_offered"


class ContentFiltered(BadInput):
    """A provider's safety filter stopped the prompt or the answer; another model may answer."""

    code = "content_filter"


class NotAccepted(BadInput):
    """A provider finds the request wrong by its own rules, and says why; another model may take it."""

    code = "not_accepted"


class SlowClient(BadInput):
    """The request's head or body came slower than the server waits."""

    status, grpc, code, may_retry = 408, "DEADLINE_EXCEEDED", "slow_client", True


class TooLarge(BadInput):
    """A body, tensor or list is over its limit."""

    status, grpc, code = 413, "RESOURCE_EXHAUSTED", "too_large"


class UnsupportedMedia(BadInput):
    """A content type or content encoding that this door does not speak."""

    status, grpc, code = 415, "INVALID_ARGUMENT", "unsupported_media"


class HeadTooLarge(BadInput):
    """The request line and headers together are over their limit."""

    status, grpc, code = 431, "INVALID_ARGUMENT", "head_too_large"


class Unauthenticated(PenstockError):
    """No key, or a wrong one."""

    status, grpc, code = 401, "UNAUTHENTICATED", "unauthenticated"


class Forbidden(PenstockError):
    """Known caller, not allowed."""

    status, grpc, code = 403, "PERMISSION_DENIED", "forbidden"


class NotFound(PenstockError):
    """No such path."""

    status, grpc, code = 404, "NOT_FOUND", "not_found"


class UnknownModel(NotFound):
    """No model or version of that name is served."""

    code = "unknown_model"


class MethodNotAllowed(PenstockError):
    """The path exists, the verb does not; `allow` lists those that do."""

    status, grpc, code = 405, "UNIMPLEMENTED", "method_not_allowed"

    def __init__(self, message: str, *, allow: str):
        super().__init__(message)
        self.allow = allow


class Conflict(PenstockError):
    """The present state does not allow the operation."""

    status, grpc, code = 409, "FAILED_PRECONDITION", "conflict"


class QuotaExceeded(PenstockError):
    """The caller's own quota is used up. `quotas`: what is left of each of its limits."""

    status, grpc, code, may_retry = 429, "RESOURCE_EXHAUSTED", "quota_exceeded", True
    quotas: tuple[Quota, ...] = ()


class BudgetSpent(QuotaExceeded):
    """The caller's budget is spent; asking again shortly cannot help, `retry_after_s` is the next period's begin."""

    code, may_retry = "budget_spent", False


class Cancelled(PenstockError):
    """The caller went away or closed the reply."""

    status, grpc, code = 499, "CANCELLED", "cancelled"


class Internal(PenstockError):
    """Our fault; the log holds the rest under the error id."""


class ModelFailed(Internal):
    """The model's own code raised."""

    code = "model_failed"


class RequestRefused(Internal):
    """This very request killed two workers; it is not run again."""

    code = "request_refused"


class Unsupported(PenstockError):
    """A known operation that this model or server does not offer."""

    status, grpc, code = 501, "UNIMPLEMENTED", "unsupported"


class ProviderFailed(PenstockError):
    """A remote provider failed."""

    status, grpc, code, may_retry = 502, "UNAVAILABLE", "provider_failed", True


class ProviderThrottled(ProviderFailed):
    """The provider answers 429: the server's quota there is used up; `retry_after_s` says until when."""

    code = "provider_throttled"


class ProviderSilent(ProviderFailed):
    """The provider took no connection, or said nothing, in the time that it has."""

    code = "provider_silent"


class ProviderRefused(ProviderFailed):
    """The provider answers 401 or 403: it does not accept the server's key, and asking again cannot help."""

    code, may_retry = "provider_refused", False


class Unavailable(PenstockError):
    """Not now; `retry_after_s` says when."""

    status, grpc, code, may_retry = 503, "UNAVAILABLE", "unavailable", True

    def __init__(self, message: str, *, detail: str | None = None, retry_after_s: float | None = 1.0):
        super().__init__(message, detail=detail, retry_after_s=retry_after_s)


class Overloaded(Unavailable):
    """The queue is full: shed early, and cheaply."""

    code = "overloaded"


class Loading(Unavailable):
    """The model has not been ready yet."""

    code = "loading"


class Unloaded(Unavailable):
    """Somebody unloaded the model; trying again does not load it."""

    code, may_retry = "unloaded", False


class Draining(Unavailable):
    """The server is finishing accepted work and takes no more."""

    code = "draining"


class WorkerLost(Unavailable):
    """The worker died while it ran the request."""

    code = "worker_lost"


class CrashLooping(Unavailable):
    """The model's workers die again and again; they are restarted with growing pauses."""

    code = "crash_looping"


class DeadlineExceeded(PenstockError):
    """The time that the request was given has passed."""

    status, grpc, code, may_retry = 504, "DEADLINE_EXCEEDED", "deadline_exceeded", True


class NotCached(PenstockError):
    """The caller wants a kept answer or none (Cache-Control: only-if-cached), and there is none."""

    status, grpc, code, may_retry = 504, "NOT_FOUND", "not_cached", True


class SetupError(PenstockError):
    """Something is wrong before serving: files or settings. Commands end with status 2."""

    code = "setup"


class ConfigError(SetupError):
    """A setting is wrong."""

    code = "config"


class ModelFileError(SetupError):
    """A model file cannot be loaded; the message says why and what would work."""

    code = "model_file"


class UntrustedFile(ModelFileError):
    """Loading the file would run code, and its digest is not trusted."""

    code = "untrusted_file"

    @classmethod
    def naming(cls, what: str, sha256: str) -> UntrustedFile:
        """The refusal of `what`, with the digest and the exact flag and YAML line that would trust it."""
        return cls(
            f"{what} can run code when it is loaded, and nobody vouched for it. If you made it, or trust who did, "
            f"pass --trust sha256:{sha256} or write in YAML: trust: sha256:{sha256}"
        )


class HubUnreachable(ModelFileError):
    """The hub does not answer, or not now; the same again may work later, and goes on with what was downloaded."""

    code, may_retry = "hub_unreachable", True


class MissingExtra(SetupError):
    """A library that the model needs is not installed; names the extra."""

    code = "missing_extra"


CALLERS_END = (Cancelled, SlowClient, DeadlineExceeded)
"""Ends that a caller brings about, perhaps after most of an answer was generated."""


def by_code(code: str) -> type[PenstockError]:
    """The class whose `code` this is; `Internal` when none has it (an older or newer worker)."""
    pending: list[type[PenstockError]] = [PenstockError]
    while pending:
        kind = pending.pop()
        if kind.code == code and kind is not PenstockError:
            return kind
        pending.extend(kind.__subclasses__())
    return Internal
