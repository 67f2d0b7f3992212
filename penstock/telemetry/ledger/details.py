"""Which requests get a row of their own. Pure."""

from __future__ import annotations

from collections import Counter

from penstock.core.ledger import Entry

OTHERS = 0.1
"""Of the rows of a minute, for requests that no route saw and that had no tokens: predictions come by the thousand."""


class Details:
    """So many rows a minute, so that the ledger's size has a bound whatever the traffic; the minute is the wall
    clock's. Requests of routes and with tokens never wait behind others. A tenant gets half of the rows at most, unless
    it was alone in the minute before."""

    def __init__(self, rows_per_minute: int):
        self._most = (int(rows_per_minute * OTHERS), rows_per_minute)
        self._left = list(self._most)
        self._taken: Counter[tuple[str, bool]] = Counter()
        self._others: set[str] = set()
        self._tenants: set[str] = set()
        self._minute = -1

    def wanted(self, entry: Entry) -> bool:
        """Whether this one gets a row."""
        minute = int(entry.at // 60)
        if minute != self._minute:
            self._begin(minute)
        kind, tenant = bool(entry.route or entry.prompt_tokens or entry.completion_tokens), entry.tenant
        self._tenants.add(tenant)
        if self._left[kind] <= 0 or self._taken[tenant, kind] >= self._share(tenant, kind):
            return False
        self._left[kind] -= 1
        self._taken[tenant, kind] += 1
        return True

    def _begin(self, minute: int) -> None:
        self._minute, self._left = minute, list(self._most)
        self._others, self._tenants = self._tenants, set()
        self._taken.clear()

    def _share(self, tenant: str, kind: bool) -> int:
        """Rows of this minute that one tenant may have."""
        most = self._most[kind]
        return most if self._others <= {tenant} else (most + 1) // 2
