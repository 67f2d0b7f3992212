"""Which requests get a row of their own. Pure."""

from __future__ import annotations

from penstock.core.ledger import Entry

OTHERS = 0.1
"""Of the rows of a minute, for requests that no route saw and that had no tokens: predictions come by the thousand."""


class Details:
    """So many rows a minute, so that the ledger's size has a bound whatever the traffic; the minute is the wall
    clock's. Requests of routes and with tokens never wait behind others."""

    def __init__(self, rows_per_minute: int):
        self._most = (int(rows_per_minute * OTHERS), rows_per_minute)
        self._left = [0, 0]
        self._minute = -1

    def wanted(self, entry: Entry) -> bool:
        """Whether this one gets a row."""
        minute = int(entry.at // 60)
        if minute != self._minute:
            self._minute, self._left = minute, list(self._most)
        kind = bool(entry.route or entry.prompt_tokens or entry.completion_tokens)
        if not self._left[kind]:
            return False
        self._left[kind] -= 1
        return True
