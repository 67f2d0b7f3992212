"""Stop strings."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.generation.marks.parts import Said
from penstock.runtimes.generation.stops import Stops
from tests.runtimes.generation.marks.cutting import read, same_however_cut


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one two three", ["two"], [("Said", "one "), ("Met", "two")]),
        ("one two", ["\n"], [("Said", "one two")]),
        ("stop", ["stop"], [("Met", "stop")]),
        ("one tw", ["two"], [("Said", "one tw")]),
        ("aabaabaac", ["aabaac"], [("Said", "aab"), ("Met", "aabaac")]),
        ("abcd", ["abcd", "bc"], [("Said", "a"), ("Met", "bc")]),
        ("xabc", ["bc", "abc", "c"], [("Said", "x"), ("Met", "abc")]),
        ("fin 🦊", ["🦊"], [("Said", "fin "), ("Met", "🦊")]),
    ],
)
def test_stops(text: str, stops: list[str], expected: list[Any]) -> None:
    assert same_however_cut(lambda: [Stops(stops)], text, []) == expected


def test_only_what_may_begin_a_stop_string_is_held_back() -> None:
    stops = Stops(["END", "\n\n"])
    assert stops.feed(Said("so EN", 0)) == [Said("so ", 0)]
    assert stops.feed(Said("T", 5)) == [Said("ENT", 3)]
    assert stops.feed(Said("\n", 6)) == []
    assert stops.end() == [Said("\n", 6)]


@given(st.text("ab", max_size=40), st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=4), st.data())
@settings(max_examples=300, deadline=None)
def test_the_first_end_of_any_stop_string_counts(text: str, stops: list[str], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, 40), max_size=6))
    told = same_however_cut(lambda: [Stops(stops)], text, places)
    ends = [(at, stop) for at in range(len(text) + 1) for stop in stops if text[:at].endswith(stop)]
    at, _ = min(ends, default=(-1, ""))
    met = max((stop for end, stop in ends if end == at), key=len, default="")
    before = text[: at - len(met)] if met else text
    assert told == [("Said", before)] * bool(before) + [("Met", met)] * bool(met)


def test_long_stop_strings_cost_no_more_than_the_text() -> None:
    stops = ["a" * 1023 + character for character in "bcdefghijklmnopq"]
    begun = time.perf_counter()
    assert read([Stops(stops)], ["a" * 8] * 2_000) == [("Said", "a" * 16_000)]
    assert time.perf_counter() - begun < 5
