"""What the ledger says of a span of time: amounts, money, savings, and quality beside them.

Importing it imports no SQLAlchemy; asking does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from penstock.storage.database import Database
from penstock.telemetry.ledger.amounts import amounts, quality

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

By = Literal["model", "version", "tenant", "key", "route", "name", "day"]
BY: tuple[str, ...] = get_args(By)


class Cost(msgspec.Struct, kw_only=True):
    """Requests that have something in common. Money is USD, times are seconds; None where nothing is known.

    `failed`: of the requests, those that ended with an error; `kept`: those answered from a cache; `priced`: those
    whose cost is known. `per_1000`: what a thousand of these cost. `premium`: what the dearest models of their routes
    would have cost, where both are known; `saved`: that less the cost, `saved_share` as a part of it.
    `score`: mean feedback of users, 0 to 1, of `scored` requests; `agreement`: with another model, of `compared`
    requests. `per_1000_good`: what a thousand answers cost divided by their quality, which is the score, or else the
    agreement: an answer of quality 0.5 counts for half a one.
    """

    name: str
    requests: int
    failed: int
    kept: int
    rows: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    total_s: float
    busy_s: float
    cost: float
    priced: int
    per_1000: float | None
    premium: float | None
    saved: float | None
    saved_share: float | None
    score: float | None
    scored: int
    agreement: float | None
    compared: int
    per_1000_good: float | None


class Costs(msgspec.Struct, kw_only=True):
    """`since`, `until`: Unix time. `rows`: by what was asked for; the dearest first, days in order."""

    since: float
    until: float
    by: str
    rows: list[Cost]
    total: Cost


def costs(database: Database, by: By, since: float, until: float, tenant: str | None = None) -> Costs:
    """Asks the ledger, for a thread or a command. `tenant`: of one only. Raises as `Database.reading`."""
    if database.empty:
        return Costs(since=since, until=until, by=by, rows=[], total=_cost("total", None, {}))
    with database.reading() as connection:
        rows = _asked(connection, by, since, until, tenant)
        total = _asked(connection, None, since, until, tenant)
    rows.sort(key=lambda row: row.name if by == "day" else (-row.cost, -row.requests, row.name))
    return Costs(since=since, until=until, by=by, rows=rows, total=total[0] if total else _cost("total", None, {}))


def _asked(connection: Connection, by: By | None, since: float, until: float, tenant: str | None) -> list[Cost]:
    key = _key(connection, by)
    scores = quality(connection, key, since, until, tenant)
    found = amounts(connection, key, since, until, tenant)
    return [_cost(_named(by, row["by"]), row, scores.get(row["by"], {})) for row in found if row["requests"]]


def _key(connection: Connection, by: By | None) -> ColumnElement[Any]:
    """What rows are grouped by."""
    from sqlalchemy import literal

    from penstock.storage.tables import requests
    from penstock.telemetry.ledger.days import DAY_S, floored

    if by is None:
        return literal("total")
    if by == "day":
        return floored(connection, requests.c.at, DAY_S)
    if by == "version":
        return requests.c.model + "@" + requests.c.version
    column: ColumnElement[Any] = requests.c[by]
    return column


def _named(by: By | None, value: Any) -> str:
    """A group's name, for people."""
    if by == "day":
        return datetime.fromtimestamp(value, UTC).date().isoformat()
    return str(value).removesuffix("@") or "-"


def _cost(name: str, row: dict[str, Any] | None, scores: dict[str, tuple[float, int]]) -> Cost:
    row = row or {}
    score, scored = scores.get("user", (None, 0))
    agreement, compared = scores.get("shadow", (None, 0))
    premium, rivalled = row.get("premium"), row.get("rivalled") or 0.0
    saved = None if premium is None else premium - rivalled
    good = score if score is not None else agreement
    cost, priced = float(row.get("cost") or 0.0), int(row.get("priced") or 0)
    per_1000 = 1000 * cost / priced if priced else None
    whole = {
        field: int(row.get(field) or 0)
        for field in ("requests", "failed", "kept", "rows", "prompt_tokens", "cached_tokens", "completion_tokens")
    }
    return Cost(
        name=name,
        **whole,
        total_s=_round(row.get("total_s") or 0.0),
        busy_s=_round(row.get("busy_s") or 0.0),
        cost=_round(cost),
        priced=priced,
        per_1000=_rounded(per_1000),
        premium=_rounded(premium),
        saved=_rounded(saved),
        saved_share=_rounded(saved / premium) if saved is not None and premium else None,
        score=_rounded(score),
        scored=scored,
        agreement=_rounded(agreement),
        compared=compared,
        per_1000_good=_rounded(per_1000 / good) if per_1000 is not None and good else None,
    )


def _round(value: float) -> float:
    return round(float(value), 9)


def _rounded(value: float | None) -> float | None:
    return None if value is None else _round(value)
