"""What tenants have spent since a moment, for their budgets. Imports SQLAlchemy only when asked: for threads."""

from __future__ import annotations

from penstock.storage.database import Database


def spent(database: Database, since: float) -> dict[str, float]:
    """USD by tenant, of requests that ended at `since` (Unix time) or later. Raises as `Database.reading`."""
    if database.empty:
        return {}
    from sqlalchemy import func, select

    from penstock.storage.tables import requests

    asked = select(requests.c.tenant, func.sum(requests.c.cost)).where(requests.c.at >= since, requests.c.cost > 0)
    with database.reading() as connection:
        return {tenant: float(cost) for tenant, cost in connection.execute(asked.group_by(requests.c.tenant))}
