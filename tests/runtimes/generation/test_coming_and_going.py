"""Requests that come, go and fail in any order: each ends once, and nothing is left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.generation import Generation, Sampling, Started, Stopped
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.scripted import ScriptedEngine
from tests.runtimes.generation.talk import CHATML, chat, ending, ids, runtime

REQUESTS = [
    Generation(prompt="the fox"),
    Generation(prompt="the fox", choices=3, sampling=Sampling(stop=("dog",))),
    Generation(prompt="the fox", sampling=Sampling(max_tokens=1), echo=True),
    Generation(prompt=(10**6,)),
    Generation(prompt="the fox", count_only=True),
    Generation(prompt=(5,) * 300),
    chat("hello"),
    chat("the quick brown fox", choices=2),
    chat(think=True),
]
ENGINE = ScriptedEngine(ids("the lazy dog"), pace=2)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, len(REQUESTS) - 1)),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("step"), st.just(0)),
    ),
    max_size=40,
)


@pytest.fixture(scope="module")
def made() -> Iterator[LanguageRuntime]:
    yield (made := runtime(ENGINE, chat_template=CHATML))
    made.close()


@given(DEEDS)
@settings(max_examples=120, deadline=None)
def test_every_request_ends_once(made: LanguageRuntime, deeds: list[tuple[str, int]]) -> None:
    heard: dict[int, list[Any]] = {}
    gone: set[int] = set()

    def step() -> None:
        for id, event in made.step():
            assert id not in gone, "something was said of a request that was given up"
            heard[id].append(event)

    for deed, which in deeds:
        if deed == "submit":
            made.submit(len(heard), REQUESTS[which])
            heard[len(heard)] = []
        elif deed == "cancel":
            made.cancel(which)
            if which in heard and not any(ending(event) for event in heard[which]):
                gone.add(which)
        else:
            step()
    until = time.monotonic() + 20
    while any(not events or not ending(events[-1]) for id, events in heard.items() if id not in gone):
        assert time.monotonic() < until, "a request never ended"
        step()
    for id in heard.keys() - gone:
        well_ordered(heard[id])
    assert not ENGINE.busy
    assert made.stats().waiting == 0


def well_ordered(events: list[Any]) -> None:
    """One beginning before all, one stop per choice with nothing of it after, one end after all."""
    assert [ending(event) for event in events] == [False] * (len(events) - 1) + [True]
    started = [at for at, event in enumerate(events) if isinstance(event, Started)]
    assert started == [0] * (len(events) > 1)
    stopped = [event.choice for event in events if isinstance(event, Stopped)]
    assert len(stopped) == len(set(stopped))
    for at, event in enumerate(events):
        if isinstance(event, Stopped):
            assert all(getattr(later, "choice", -1) != event.choice for later in events[at + 1 :])
