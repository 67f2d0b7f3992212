"""The books of the prefix cache stay even, whatever comes and goes, and never raise."""

from __future__ import annotations

import random

import pytest

from penstock.runtimes.generation.engines.prefix_blocks import PrefixBlocks


@pytest.mark.parametrize("seed", range(20))
def test_every_block_is_free_idle_or_held(seed: int) -> None:
    rng = random.Random(seed)
    books, running, number = PrefixBlocks(64, 4), {}, 0
    for _ in range(2000):
        if running and (rng.random() < 0.5 or len(running) > 6):
            books.release(owner := rng.choice(list(running)))
            del running[owner]
        else:
            number += 1
            text = [rng.randrange(3) for _ in range(rng.randrange(1, 30))]
            running[number] = text
            keys = books.keys(text)
            books.hold(number, keys)
            books.grow(number, keys, len(text))
        for owner, text in running.items():
            text.append(rng.randrange(2))
            books.grow(owner, books.keys(text), len(text))
        held = {id(block) for blocks in books._held.values() for block in blocks}
        idle = {id(block) for block in books._idle.values()}
        free = {id(block) for block in books._free}
        assert not held & idle
        assert not held & free
        assert not idle & free
        assert len(free) + len(idle) <= 64 + 300
        if not running:
            assert len(free) + len(idle) >= 64
