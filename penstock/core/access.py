"""Where this process finds a server, and the key that it shows there; and how keys are kept out of what is written."""

from __future__ import annotations

import os
import re

from penstock.core.errors import ConfigError

SERVER_VARIABLE = "PENSTOCK_URL"
KEY_VARIABLE = "PENSTOCK_API_KEY"
_KEY = re.compile(r"(pst-[a-z2-9]{12}-)[A-Za-z0-9_-]+")
"""Keys, also those that something cut."""


def key_for(url: str) -> str:
    """The key in $PENSTOCK_API_KEY, or nothing. Where $PENSTOCK_URL is set the key is that server's, and no other's."""
    home = os.environ.get(SERVER_VARIABLE)
    return "" if home and home.rstrip("/") != url.rstrip("/") else os.environ.get(KEY_VARIABLE, "").strip()


def authorization(key: str) -> dict[str, str]:
    """The header that shows a key, if there is one. Raises `ConfigError` for what can be none, without repeating it."""
    if not key.isascii() or not key.isprintable():
        raise ConfigError("the API key has characters that no key has; was it cut, or joined with something else?")
    return {"Authorization": f"Bearer {key}"} if key else {}


def masked(text: str) -> str:
    """The text with the secrets of Penstock's keys left out, and with what is left of cut ones, wherever in it they
    are."""
    return _KEY.sub(r"\1***", text) if "pst-" in text else text
