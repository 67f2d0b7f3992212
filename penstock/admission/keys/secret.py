"""What an API key looks like: "pst-", 12 characters that name it, "-", 43 that are its secret."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

PREFIX = "pst-"
ID_LENGTH = 12
_LETTERS = "abcdefghijkmnopqrstuvwxyz23456789"
_KEY = re.compile(rb"pst-([a-z2-9]{12})-([A-Za-z0-9_-]{43})")
_ID = re.compile(r"(?:pst-)?([a-z2-9]{12})(?:-[A-Za-z0-9_-]{43})?")


class Secret(NamedTuple):
    """A new key. `text` is shown once; `digest` is what is kept. A secret of 256 random bits needs no slow hash."""

    id: str
    text: str
    digest: bytes


def new(key_id: str = "") -> Secret:
    """A key from the system's random source; under an id of its own, or anew under a known one."""
    key_id = key_id or "".join(secrets.choice(_LETTERS) for _ in range(ID_LENGTH))
    secret = secrets.token_urlsafe(32)
    return Secret(key_id, f"{PREFIX}{key_id}-{secret}", digest_of(secret.encode()))


def parsed(text: bytes) -> tuple[str, bytes] | None:
    """A key's id and its secret's digest; None for what is no key."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found.group(1).decode(), digest_of(found.group(2)))


def id_in(text: str) -> str:
    """The id in what a person names a key by: the id, with or without "pst-", or the whole key; "" for neither."""
    found = _ID.fullmatch(text.strip())
    return "" if found is None else found.group(1)


def digest_of(secret: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(secret).digest()
