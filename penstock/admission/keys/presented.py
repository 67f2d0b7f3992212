"""The key that a request carries, as clients send it: OpenAI's, Anthropic's, Azure's."""

from __future__ import annotations

from penstock.core.errors import Unauthenticated

_BEARER = b"bearer "
_OTHERS = (b"x-api-key", b"api-key")
NO_KEY = "this server asks for an API key; send it as Authorization: Bearer KEY, or as x-api-key"


def presented(headers: dict[bytes, bytes]) -> bytes:
    """The key in a request's headers. Raises `Unauthenticated` when there is none, or there are several."""
    authorization = headers.get(b"authorization", b"")
    bearer = authorization[7:].strip() if authorization[:7].lower() == _BEARER else b""
    if bearer and b"x-api-key" not in headers and b"api-key" not in headers:
        return bearer
    found = {key for key in (bearer, *(headers.get(name, b"").strip() for name in _OTHERS)) if key}
    if len(found) > 1:
        raise Unauthenticated("the request carries several different API keys; send one")
    if not found:
        other = authorization and not bearer
        raise Unauthenticated("Authorization takes an API key as: Bearer KEY" if other else NO_KEY)
    return found.pop()
