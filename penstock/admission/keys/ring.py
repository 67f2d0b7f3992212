"""The keys that are known, in memory: whether a key is good, decided in constant time."""

from __future__ import annotations

from collections.abc import Iterable
from hmac import compare_digest
from typing import NamedTuple

from penstock.admission.keys import secret
from penstock.core.errors import Unauthenticated
from penstock.core.principal import Principal


class Held(NamedTuple):
    """A key as it is checked. Times are Unix time."""

    principal: Principal
    digest: bytes
    previous: bytes | None = None
    previous_until: float = 0.0
    expires_at: float | None = None
    revoked: bool = False


NOBODY = Held(Principal(), secret.new().digest)
"""What an unknown id is compared with, so that it takes as long as a known one."""


class Ring:
    """Keys by id."""

    def __init__(self, held: Iterable[Held]):
        self._held = {key.principal.key: key for key in held}

    def __len__(self) -> int:
        return len(self._held)

    def principal(self, text: bytes, now: float) -> Principal:
        """Whose key this is. Raises `Unauthenticated`; only who knows the secret hears more than that it is wrong."""
        parts = secret.parsed(text)
        if parts is None:
            raise Unauthenticated("the API key is not valid", detail="not in the form of a key")
        held = self._held.get(parts[0], NOBODY)
        if not compare_digest(parts[1], held.digest) and not self._was(parts[1], held, now):
            known = held is not NOBODY
            raise Unauthenticated("the API key is not valid", detail=f"{'wrong' if known else 'unknown'}: {parts[0]}")
        if held.revoked:
            raise Unauthenticated("the API key was revoked", detail=f"revoked: {parts[0]}")
        if held.expires_at is not None and held.expires_at <= now:
            raise Unauthenticated("the API key has expired", detail=f"expired: {parts[0]}")
        return held.principal

    def _was(self, digest: bytes, held: Held, now: float) -> bool:
        """Whether it is the secret before a rotation, in its time of grace."""
        return held.previous is not None and now < held.previous_until and compare_digest(digest, held.previous)
