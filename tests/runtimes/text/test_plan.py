"""Micro-batches hold every row once, in shapes of the grid, and nothing cheaper is overlooked."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.text.plan import ROWS, Micro, Planner

LENGTHS = st.lists(st.integers(1, 300), max_size=90)


def cost(planner: Planner, micros: list[Micro]) -> int:
    return sum(dict(planner.prices(micro.length))[micro.rows] for micro in micros)


def cheapest(planner: Planner, lengths: list[int]) -> int:
    """The least cost of all cuts of the sorted rows, whether a micro-batch is full or not."""
    order = sorted(lengths, reverse=True)

    @cache
    def after(at: int) -> int:
        if at == len(order):
            return 0
        options = planner.prices(planner.padded(order[at]))
        return min(
            price + after(at + taken) for rows, price in options for taken in range(1, min(rows, len(order) - at) + 1)
        )

    return after(0)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 100), st.sampled_from([64, 1024, 4096]))
def test_every_row_once_in_a_shape_that_holds_it(lengths: list[int], call: int, most: int) -> None:
    planner = Planner(300, call, most)
    micros = planner.plan(lengths)
    assert sorted(row for micro in micros for row in micro.members) == list(range(len(lengths)))
    for micro in micros:
        assert micro.rows in ROWS
        assert 1 <= len(micro.members) <= micro.rows
        assert max(lengths[row] for row in micro.members) <= micro.length == planner.padded(micro.length)
        assert micro.rows == 1 or micro.rows * micro.length <= most


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 100))
def test_never_dearer_than_the_obvious_cuts(lengths: list[int], call: int) -> None:
    planner = Planner(300, call)
    found = cost(planner, planner.plan(lengths))
    order = sorted(lengths, reverse=True)
    for size in ROWS:
        groups = [order[at : at + size] for at in range(0, len(order), size)]
        priced = [dict(planner.prices(planner.padded(group[0]))).get(size) for group in groups]
        if None not in priced:
            assert found <= sum(price for price in priced if price is not None)


@settings(deadline=None)
@given(st.lists(st.integers(1, 80), max_size=14), st.integers(1, 60))
def test_the_cheapest_of_all(lengths: list[int], call: int) -> None:
    planner = Planner(80, call, 256)
    assert cost(planner, planner.plan(lengths)) == cheapest(planner, lengths)


@settings(deadline=None)
@given(st.integers(1, 9000), st.integers(1, 9000))
def test_the_grid(length: int, longest: int) -> None:
    length = min(length, longest)
    padded = Planner(longest).padded(length)
    assert length <= padded <= longest
    assert padded - length < max(8, length)


def test_the_grid_is_small() -> None:
    planner = Planner(512)
    assert len({planner.padded(length) for length in range(1, 513)}) == 23


def test_a_single_long_row_is_always_allowed() -> None:
    [micro] = Planner(8192, most=1024).plan([8000])
    assert (micro.rows, micro.length) == (1, 8192)
