"""Shared memory for large bodies: what goes in comes out, and large regions shrink again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from penstock.scheduling import arena
from penstock.scheduling.arena import KEEP, Arena


@pytest.fixture
def sides() -> Iterator[tuple[Arena, Arena]]:
    """The two processes' views of one region (here in one process, through two descriptors)."""
    ours = arena.create()
    if ours is None:
        pytest.skip("no memfd on this system")
    theirs = Arena(os.dup(ours.descriptor))
    yield ours, theirs
    ours.close()
    theirs.close()


def test_bodies_of_any_size_follow_one_another(sides: tuple[Arena, Arena]) -> None:
    ours, theirs = sides
    for size in (3, 2**20, 5 * 2**20, 17, 2**21 + 1):
        body = os.urandom(size)
        ours.write([body[:2], memoryview(body)[2:]], size)
        assert bytes(theirs.view(size)) == body


def test_a_claim_beyond_the_region_is_refused(sides: tuple[Arena, Arena]) -> None:
    ours, theirs = sides
    ours.write([b"abc"], 3)
    with pytest.raises(ValueError, match="more shared memory than there is"):
        theirs.view(2**30)


def test_a_large_region_shrinks_and_grows_again_on_both_sides(sides: tuple[Arena, Arena]) -> None:
    ours, theirs = sides
    size = KEEP + 2**20
    for body in (b"a" * size, b"b" * size):
        ours.write([body], size)
        assert bytes(theirs.view(size)) == body
        ours.trim()
        assert os.fstat(ours.descriptor).st_size == KEEP
    ours.write([b"small"], 5)
    assert bytes(theirs.view(5)) == b"small"


def test_the_reader_may_shrink_what_the_writer_filled(sides: tuple[Arena, Arena]) -> None:
    ours, theirs = sides
    size = KEEP * 2
    for _ in range(2):
        ours.write([b"x" * size], size)
        assert theirs.view(size)[-1] == ord("x")
        theirs.trim()
    ours.trim()
    assert os.fstat(ours.descriptor).st_size == KEEP
