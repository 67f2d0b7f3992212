"""The ledger's questions in SQL. Imports SQLAlchemy only when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

_SUMMED = ("rows", "prompt_tokens", "cached_tokens", "completion_tokens", "total_s", "busy_s", "cost")


def amounts(
    connection: Connection, key: ColumnElement[Any], since: float, until: float, tenant: str | None
) -> list[dict[str, Any]]:
    """Sums by `key`, called "by"; "premium" and "rivalled" are what the dearest models would have cost, and what was
    paid instead, over requests where both are known."""
    from sqlalchemy import and_, case, func, select

    from penstock.storage.tables import requests

    r = requests.c
    both = and_(r.premium.is_not(None), r.cost.is_not(None))
    columns = [
        key.label("by"),
        func.sum(r.count).label("requests"),
        func.sum(case((r.status >= 400, r.count), else_=0)).label("failed"),
        func.sum(case((r.cache == "hit", r.count), else_=0)).label("kept"),
        func.sum(case((r.cost.is_not(None), r.count), else_=0)).label("priced"),
        func.sum(case((both, r.premium))).label("premium"),
        func.sum(case((both, r.cost))).label("rivalled"),
        *(func.sum(r[name]).label(name) for name in _SUMMED),
    ]
    asked = select(*columns).where(*_within(since, until, tenant)).group_by("by")
    return [dict(row) for row in connection.execute(asked).mappings()]


def quality(
    connection: Connection, key: ColumnElement[Any], since: float, until: float, tenant: str | None
) -> dict[Any, dict[str, tuple[float, int]]]:
    """By `key`, then by source: the mean of the scores, and how many there are."""
    from sqlalchemy import func, select

    from penstock.storage.tables import feedback, requests
    from penstock.telemetry.ledger.latest import latest, same

    columns = [key.label("by"), feedback.c.source, func.avg(feedback.c.score), func.count(feedback.c.number)]
    asked = select(*columns).select_from(requests.join(feedback, same()))
    asked = asked.where(latest(), *_within(since, until, tenant))
    found: dict[Any, dict[str, tuple[float, int]]] = {}
    for group, source, score, count in connection.execute(asked.group_by("by", feedback.c.source)):
        found.setdefault(group, {})[source] = float(score), int(count)
    return found


def _within(since: float, until: float, tenant: str | None) -> list[ColumnElement[bool]]:
    from penstock.storage.tables import requests

    within: list[ColumnElement[bool]] = [requests.c.at >= since, requests.c.at < until]
    return within if tenant is None else [*within, requests.c.tenant == tenant]
