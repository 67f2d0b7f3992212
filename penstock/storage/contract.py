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
    """How long the ledger keeps what requests cost."""
    details_days: Annotated[int, msgspec.Meta(ge=1)] = 30
    """How long it keeps a row for each of them; older ones are summed by the hour, tenant, route, model and outcome."""
    rows_per_minute: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 3000
    """Requests of a minute, of a route or with tokens, that get a row each, and a tenth of it of others; what comes
    beyond is summed by the minute (0: only sums are kept, and feedback finds no request)."""
    feedback_per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1200
    """Feedback of a minute that is taken from each tenant, a sixth of it at once; for more there is 429."""
