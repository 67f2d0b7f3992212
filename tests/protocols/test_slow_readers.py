"""Clients that take their answer too slowly lose it; others keep their time."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.protocols.http.connection import Connection
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.reader import KnownHeads

LIMITS = HttpLimits(write_stall_s=10, write_rate=100, idle_s=1e6, head_s=1e6)


class Pipe:
    """A transport whose client has taken all but `pending` bytes."""

    pending = 0
    aborted = False

    def get_write_buffer_size(self) -> int:
        return self.pending

    def abort(self) -> None:
        self.aborted = True


class Listener:
    """As much of the server as a connection's sweep needs."""

    limits = LIMITS
    heads = KnownHeads()
    now = 0.0


def aborted_at(pending: list[int]) -> int | None:
    """The second at which a client with these bytes left, second by second, is ended."""
    connection: Any = Connection(Listener())  # type: ignore[arg-type]
    pipe = connection.transport = Pipe()
    for second, left in enumerate(pending):
        pipe.pending = left
        connection.sweep(float(second))
        if pipe.aborted:
            return second
    return None


@pytest.mark.parametrize(
    ("rate", "end"),
    [(0, 11), (1, 11), (50, 21), (100, None), (150, None)],
)
def test_an_answer_is_taken_at_the_rate_or_lost(rate: int, end: int | None) -> None:
    assert aborted_at([100_000 - rate * second for second in range(300)]) == end


def test_a_client_that_was_fast_may_not_stop() -> None:
    assert aborted_at([1_000_000, *[1000] * 300]) == 12


def test_a_new_answer_begins_the_count_anew() -> None:
    assert aborted_at([1000 + 10 * (second % 5) for second in range(300)]) is None
