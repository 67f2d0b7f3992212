"""Answers in memory: bounded in bytes and in time."""

from __future__ import annotations

import gc
import os
import tracemalloc

from penstock.routing.responses.memory import ITEM, Entry, Memory


def entry(size: int = 600, at: float = 0.0, until: float = 10.0) -> Entry:
    return Entry(os.urandom(size), at, until)


def test_the_least_recently_used_make_room() -> None:
    memory = Memory(3 * (ITEM + 600))
    for key in (b"a", b"b", b"c"):
        assert memory.keep(key, entry())
    assert memory.find(b"a", 0.0)
    memory.keep(b"d", entry())
    assert [key for key in (b"a", b"b", b"c", b"d") if memory.find(key, 0.0)] == [b"a", b"c", b"d"]
    assert (memory.evictions, len(memory)) == (1, 3)
    memory.keep(b"e", entry(2 * ITEM + 1800))
    assert len(memory) == 1
    assert memory.bytes <= memory.capacity


def test_what_is_larger_than_all_may_be_is_not_kept() -> None:
    memory = Memory(1000)
    memory.keep(b"a", entry(100))
    assert not memory.keep(b"b", entry(1000))
    assert memory.find(b"a", 0.0)
    assert not memory.keep(b"a", entry(1000)), "an older answer is not given for a newer one that was too large"
    assert memory.find(b"a", 0.0) is None
    assert memory.bytes == 0


def test_time_passes() -> None:
    memory = Memory(10_000)
    memory.keep(b"a", entry(until=10.0))
    assert memory.find(b"a", 10.0)
    assert memory.find(b"a", 10.1) is None
    assert (len(memory), memory.bytes) == (0, 0)


def test_a_key_is_kept_once() -> None:
    memory = Memory(10_000)
    for _ in range(3):
        memory.keep(b"a", entry(100))
    assert (len(memory), memory.bytes) == (1, ITEM + 100)
    memory.forget(b"a")
    memory.forget(b"a")
    assert memory.bytes == 0


def test_the_bytes_that_are_counted_are_those_that_are_taken() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        memory = Memory(2**30)
        for _ in range(5000):
            memory.keep(os.urandom(32), entry(200))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 0.7 < taken / memory.bytes < 1.1
