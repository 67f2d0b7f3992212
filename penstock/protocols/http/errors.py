"""An error as the body that the clients of its path expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.core.errors import (
    BudgetSpent,
    MethodNotAllowed,
    PenstockError,
    QuotaExceeded,
    Unauthenticated,
    UnknownModel,
)
from penstock.protocols.http.message import Headers, HttpResponse
from penstock.protocols.quotas import quota_headers

OPENAI_TYPES: Mapping[int, str] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""What OpenAI's API calls the kind of an error, by status; below 500 it is else `OPENAI_OTHER`."""
OPENAI_OTHER = "invalid_request_error"
OPENAI_OURS = "server_error"
OPENAI_CODES: Mapping[str, str] = {
    UnknownModel.code: "model_not_found",
    QuotaExceeded.code: "rate_limit_exceeded",
    BudgetSpent.code: "insufficient_quota",
}
"""Our codes that OpenAI's API has a name of its own for."""
ANTHROPIC_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""What Anthropic's API calls the kind of an error, by status; else below 500 `ANTHROPIC_OTHER`."""
ANTHROPIC_OTHER = "invalid_request_error"
ANTHROPIC_OURS = "api_error"
_ANTHROPIC = b"/v1/messages"
_RERANK = (b"/rerank", b"/v2/rerank")
_encode = msgspec.json.encode


def error_response(error: PenstockError, request_id: str, path: bytes) -> HttpResponse:
    """An error as JSON, in the shape of the path's protocol; each has the id that links to the log."""
    headers: Headers = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer realm="penstock"'))
    if isinstance(error, QuotaExceeded):
        headers += quota_headers(error.quotas)
    if anthropic_path(path):
        body = anthropic_error(error, request_id)
        headers += [(b"request-id", request_id.encode()), *_no_retry(error)]
    elif openai_path(path):
        body = openai_error(error, request_id)
        headers += _no_retry(error)
    elif path.startswith((b"/v2", b"/api/")):
        body = {"error": error.message, "code": error.code, "request_id": request_id}
    else:
        body = {"error": {"code": error.code, "message": error.message, "request_id": request_id}}
    return HttpResponse(error.status, _encode(body), headers=headers)


def openai_path(path: bytes) -> bool:
    """Whether clients of OpenAI's API, or of the rerank APIs that look like it, call this path."""
    if anthropic_path(path):
        return False
    return path == b"/v1" or path.startswith(b"/v1/") or path.rstrip(b"/") in _RERANK


def anthropic_path(path: bytes) -> bool:
    """Whether clients of Anthropic's API call this path."""
    return path == _ANTHROPIC or path.startswith(b"/v1/messages/")


def anthropic_error(error: PenstockError, request_id: str) -> dict[str, Any]:
    """An error in the shape of Anthropic's API, with our code beside its type."""
    kind = ANTHROPIC_TYPES.get(error.status, ANTHROPIC_OURS if error.status >= 500 else ANTHROPIC_OTHER)
    told = {"type": kind, "message": error.message, "code": error.code}
    return {"type": "error", "error": told, "request_id": request_id}


def _no_retry(error: PenstockError) -> Headers:
    """Clients of both vendors send again after these statuses unless they are told not to."""
    if error.may_retry or (error.status < 500 and error.status not in (409, 429)):
        return []
    return [(b"x-should-retry", b"false")]


def openai_error(error: PenstockError, request_id: str) -> dict[str, Any]:
    """An error as OpenAI's API has it, also inside a stream."""
    kind = OPENAI_OURS if error.status >= 500 else OPENAI_TYPES.get(error.status, OPENAI_OTHER)
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": getattr(error, "param", None),
            "code": OPENAI_CODES.get(error.code, error.code),
            "request_id": request_id,
        }
    }
