"""The settings of API keys."""

from __future__ import annotations

from typing import Annotated

import msgspec


class KeySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """API keys, made with penstock keys create. Once there is one, every request needs one."""

    required: bool = False
    """Never serve without keys: not even on loopback, where a proxy may stand before the server."""
    refresh_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 2.0
    """How soon a new, rotated or revoked key counts."""
