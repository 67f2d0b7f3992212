"""Random lives of the cache: hundreds of seeds, every corner reached, and planted bugs that it must catch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from penstock.core.errors import PenstockError
from penstock.routing import flights as flights_file
from penstock.routing import items as items_file
from penstock.routing.ask import Ask
from penstock.routing.flights import Flights, Run
from penstock.routing.layout import Row
from penstock.routing.row_keys import RowKeys
from penstock.routing.scope import Scope
from penstock.routing.store import Store, size_of
from tests.routing.items_world import Violation, simulate

SEEDS = 500
CAUGHT_WITHIN = 150
CORNERS = {
    "answers",
    "left",
    "hits",
    "misses",
    "shared",
    "evictions",
    "known at once",
    "runs gone on without their owner",
    "runs given up",
    "whole",
    "error BadInput",
    "error ModelFailed",
    "error DeadlineExceeded",
    "error Overloaded",
    "error Unavailable",
    "error WorkerLost",
}


def simulate_many(seeds: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in range(seeds):
        try:
            seen += simulate(seed).seen
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    return seen


def test_nothing_breaks_and_every_corner_is_reached() -> None:
    seen = simulate_many(SEEDS)
    assert {corner for corner in CORNERS if seen[corner] < 5} == set()


# --- planted bugs


def computes_twice(flights: Flights, ask: Ask, keys: Iterable[bytes], until: float) -> Run | None:
    """Rows under way are not waited for."""
    run = Run(ask, until)
    run.keys = list(dict.fromkeys(keys))
    run.asks[ask] = None
    ask.owned += len(run.keys)
    for key in run.keys:
        flights._runs[key] = ask.missing[key] = run
    return run


def forgets_to_leave(flights: Flights, ask: Ask) -> list[Run]:
    """Nobody tells the runs that a request has left."""
    ask.missing.clear()
    return []


def takes_all_down(flights: Flights, ask: Ask) -> list[Run]:
    """A request that leaves ends its runs, whoever else waits for them."""
    runs = [run for run in dict.fromkeys(ask.missing.values()) if not run.ended]
    for run in runs:
        flights.end(run)
    return runs


def fails_all(run: Run, ask: Ask, error: PenstockError, now: float) -> PenstockError:
    """Everybody gets the error of whoever they waited for."""
    return error


def mixes_rows(ask: Ask, run: Run, rows: list[Row]) -> None:
    """Rows go to the wrong keys."""
    for key, row in zip(run.keys, reversed(rows), strict=True):
        if ask.missing.pop(key, None) is not None:
            ask.found[key] = row


def keeps_everything(store: Store, key: bytes, row: Row) -> bool:
    """Nothing is forgotten."""
    if key not in store._rows:
        store._rows[key] = row
        store._count(row, 1, size_of(key, row))
    return True


def never_watches_time(ask: Ask, now: float, asked: float) -> float:
    return 1e9


PLANTED: dict[str, tuple[Any, str, Any]] = {
    "computes twice": (Flights, "want", computes_twice),
    "forgets to leave": (Flights, "leave", forgets_to_leave),
    "takes all down": (Flights, "leave", takes_all_down),
    "fails all": (items_file, "verdict", fails_all),
    "mixes rows": (Ask, "take", mixes_rows),
    "keeps everything": (Store, "keep", keeps_everything),
    "never watches time": (Scope, "deadline", never_watches_time),
    "keys without version": (RowKeys, "_head", lambda keys, present, tenant: b"="),
    "no end": (Flights, "end", lambda flights, run: list(run.asks)),
    "renumbers nothing": (flights_file, "_renumbered", lambda error, row, rows: error),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, wrong = PLANTED[bug]
    monkeypatch.setattr(where, name, wrong)
    with pytest.raises(Violation):
        simulate_many(CAUGHT_WITHIN)
