"""What a provider's reply that is no answer means, whatever the provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from penstock.core.errors import (
    BadInput,
    ContentFiltered,
    ContextExceeded,
    NotAccepted,
    NotOffered,
    PenstockError,
    ProviderFailed,
    ProviderRefused,
    ProviderThrottled,
)

LONGEST = 500
"""Characters of a provider's words that are passed on."""
MAX_WAIT_S = 86_400.0
_SECRET = re.compile(
    r"\b(?:sk-|pst-|gsk_|xai-|AIza|AKIA|ASIA|ABSK)[\w\-*.]+"
    r"|(?i:(bearer|api[-_ ]key|credential|signature)(\s*[:=]\s*|\s+)[\"']?[\w\-*./+=]{8,})"
)
_TOO_LONG = re.compile(
    r"prompt is too long|input is too long|context[ _](?:length|limit|window)|maximum context"
    r"|too many (?:input )?tokens|token count .* exceeds|exceeds? the maximum number of tokens|input length .* exceed",
    re.IGNORECASE,
)

_NOT_OFFERED = re.compile(
    r"(?:not|no longer) (?:supported|permitted|available|allowed)|unsupported|(?:does not|doesn't) support"
    r"|(?:deprecated|only be set to .*) (?:for|on|with) (?:this|the) model",
    re.IGNORECASE,
)
"""What another model may well take."""
_OTHER_CALL = re.compile(r"(?:not|only) supported in (?:the )?v1/|^no endpoints found that support", re.IGNORECASE)
"""404 of a model that is there, but not for this."""
_FLAGGED = re.compile(r"input was flagged|requires moderation", re.IGNORECASE)
_ACCOUNT = re.compile(
    r"your credit balance|billing (?:hard |soft )?limit|insufficient (?:account )?(?:balance|credit|funds|quota)"
    r"|you have reached your (?:specified )?(?:api )?usage limit|user location is not supported"
    r"|(?:(?:this|your|the) )?(?:organization|account) (?:is|has been) (?:disabled|restricted|suspended|not active)",
    re.IGNORECASE,
)
"""How words begin that are about the server's account and not about the request. What stands further on may be the
request's own."""


def failed(
    provider: str, status: int, headers: Mapping[str, str], words: str, *, wait_s: float | None = None
) -> PenstockError:
    """The error of a reply with this status. `words`: what the provider says; `wait_s`: when to come back, where the
    body says that."""
    says, wait_s = shown(words), retry_after_s(headers) if wait_s is None else wait_s
    if status == 404 and _OTHER_CALL.search(says):
        return NotOffered(f"{provider}: {says}")
    if status == 403 and _FLAGGED.search(says):
        return ContentFiltered(
            f"{provider} withholds the answer; ask in other words, or ask another model", detail=says
        )
    if status in (401, 402, 403, 404, 498):
        return refused(provider, status)
    if status == 429:
        return ProviderThrottled(
            f"{provider} answers 429: this server's quota there is used up for now", detail=says, retry_after_s=wait_s
        )
    if status in (400, 413, 422):
        return rejected(provider, says, status)
    return ProviderFailed(f"{provider} answers with status {status}", detail=says, retry_after_s=wait_s)


def refused(provider: str, status: int) -> ProviderRefused:
    """The error of a key or a model that the provider does not accept. Its words are left out: they may quote the
    key."""
    why = {402: "has no money left of this server's account", 404: "knows no such model"}
    says = why.get(status, "does not accept this server's key")
    return ProviderRefused(f"{provider} {says} ({status})")


def rejected(provider: str, says: str, status: int) -> BadInput | ProviderRefused:
    """The error of a request that the provider finds wrong, in its own words; some say so of an empty account, too."""
    says = says or "the request is wrong"
    if _ACCOUNT.match(says):
        return ProviderRefused(f"{provider} does not serve this server's account now ({status})", detail=says)
    if _TOO_LONG.search(says):
        return ContextExceeded(f"{provider}: {says}")
    return (NotOffered if _NOT_OFFERED.search(says) else NotAccepted)(f"{provider}: {says}")


def malformed(provider: str, what: str = "something that its API does not have") -> ProviderFailed:
    """The error of bytes that are no answer."""
    return ProviderFailed(f"{provider} sent {what}")


def cut(provider: str) -> ProviderFailed:
    """The error of a reply that ends before its end."""
    return ProviderFailed(f"{provider} ended its answer in the middle")


def broken_off(provider: str, kind: str, words: str) -> ProviderFailed:
    """The error that a provider tells inside an answer."""
    return ProviderFailed(f"{provider} broke its answer off ({kind[:64] or 'error'})", detail=shown(words))


def shown(words: str) -> str:
    """A provider's words without what looks like a key, and not too many of them."""
    says = _SECRET.sub("[hidden]", " ".join(words[: 4 * LONGEST].split()))
    return says if len(says) <= LONGEST else f"{says[:LONGEST]}..."


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """When to come back, in seconds; None where the headers do not say. A date is taken against the reply's own."""
    by_name = {name.lower(): value.strip() for name, value in headers.items()}
    try:
        if (told := by_name.get("retry-after-ms")) is not None:
            return _bounded(float(told) / 1000)
        told = by_name.get("retry-after", "")
        if "GMT" not in told:
            return _bounded(float(told))
        wait = parsedate_to_datetime(told) - parsedate_to_datetime(by_name["date"])
        return _bounded(wait.total_seconds())
    except (ValueError, KeyError, TypeError):
        return None


def document(body: bytes) -> Any:
    """The JSON of an error's body; None where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _bounded(seconds: float) -> float | None:
    return min(max(seconds, 0.0), MAX_WAIT_S) if seconds == seconds else None
