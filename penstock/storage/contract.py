"""Durable state: one database for keys, the ledger and what limits have counted."""

from __future__ import annotations

from typing import Annotated

import msgspec


class StateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where what outlives the server is kept."""

    url: str = ""
    """"sqlite:///PATH" or "postgresql://USER@HOST/NAME" (default: SQLite, as penstock.db in $PENSTOCK_HOME, else in
    $XDG_STATE_HOME/penstock); "none" keeps nothing."""
    redis: str = ""
    """"redis://host:port/0", where several servers share limits and kept answers (default: each has its own)."""
    retention_days: Annotated[int, msgspec.Meta(ge=1)] = 400
    """How long the ledger keeps requests."""
