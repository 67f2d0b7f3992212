"""What had been spent before the server started, by the ledger's database: budgets outlive a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from penstock.admission.limits.budget import span_of
from penstock.admission.limits.tenants import Spent
from penstock.core.errors import PenstockError
from penstock.storage.database import Database
from penstock.telemetry.logs import logger

log = logger("admission")


class Past:
    """Reads it once. `known`: whether it could be read; if not, ask again after `pause_s` seconds."""

    def __init__(self, database: Database, pause_s: float = 5.0):
        self.known = False
        self.pause_s = pause_s
        self._database = database
        self._said = False

    async def read(self, at: float) -> list[Spent] | None:
        """What each key spent on each name in the day and the month of `at` (Unix time), before it; None where the
        database does not answer, which is said once in the log."""
        try:
            found = await asyncio.to_thread(lambda: list(spent_before(self._database, at)))
        except PenstockError as error:
            if not self._said:
                log.error("budgets_unknown", reason=error.message, detail=error.detail, hint="they begin at 0 for now")
            self._said = True
            return None
        if self._said:
            log.info("budgets_known", entries=len(found))
        self.known = True
        return found


def spent_before(database: Database, at: float) -> Iterator[Spent]:
    """The same, from a thread. Raises `PenstockError` when the database does not answer."""
    if database.empty:
        return
    from sqlalchemy import case, func, select

    from penstock.storage.tables import requests

    day, month = span_of("day", at).begin, span_of("month", at).begin
    who = (requests.c.tenant, requests.c.key, requests.c.name)
    today = func.sum(case((requests.c.at >= day, requests.c.cost), else_=0.0))
    query = select(*who, today, func.sum(requests.c.cost))
    counted = requests.c.cost > 0, ~requests.c.shadow
    query = query.where(requests.c.at >= month, requests.c.at < at, *counted).group_by(*who)
    with database.reading() as connection:
        for tenant, key, name, in_day, in_month in connection.execute(query):
            yield Spent(tenant, key, name, in_day or 0.0, in_month or 0.0, at)
