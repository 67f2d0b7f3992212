"""The text load: queries of the promised lengths, and a stream of which the promised share comes back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench.text.material import minilm
from bench.text.queries import LONGEST, SHORTEST, Queries
from bench.text.zipf import arrivals, repeated


@pytest.fixture(scope="module")
def tokenizer() -> Path:
    return minilm() / "tokenizer.json"


def test_lengths_are_tokens_of_the_real_tokenizer_each_equally_often(tokenizer: Path) -> None:
    queries = Queries(tokenizer, 1)
    texts = queries.take(2500)
    lengths = Counter(queries.lengths(texts))

    assert set(lengths) == set(range(SHORTEST, LONGEST + 1))
    assert max(lengths.values()) < 2 * min(lengths.values())
    assert len(set(texts)) == 2500


def test_the_same_seed_gives_the_same_queries(tokenizer: Path) -> None:
    first = Queries(tokenizer, 1).take(50)

    assert Queries(tokenizer, 1).take(50) == first
    assert not set(Queries(tokenizer, 2).take(50)) & set(first)


def test_a_query_is_not_given_twice(tokenizer: Path) -> None:
    queries = Queries(tokenizer, 1)

    assert not set(queries.take(500)) & set(queries.take(500))


def test_bodies_hold_no_line_breaks(tokenizer: Path) -> None:
    assert not any("\n" in json.dumps(text) for text in Queries(tokenizer, 1).take(500))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 0.95])
def test_the_promised_share_was_asked_before_anywhere_in_the_stream(share: float) -> None:
    order = arrivals(40_000, share, 1)

    assert repeated(order) == pytest.approx(share, abs=0.01)
    new_late = len(set(order)) - len(set(order[:30_000]))
    assert 1 - new_late / 10_000 == pytest.approx(share, abs=0.02)


def test_questions_are_numbered_in_the_order_in_which_they_are_first_asked() -> None:
    order = arrivals(5000, 0.8, 2)

    assert list(dict.fromkeys(order)) == list(range(max(order) + 1))


def test_a_few_questions_are_asked_most_often() -> None:
    counts = [count for _, count in Counter(arrivals(40_000, 0.8, 3)).most_common()]

    # By Zipf's law with exponent 0.8, the share of the first 1 % of 8,000 questions is about a third; evenly, 1 %.
    assert sum(counts[:80]) > 0.2 * 40_000
    assert counts[-1] == 1


def test_nothing_is_repeated_in_a_stream_of_new_questions() -> None:
    assert arrivals(5, 0.0, 1) == [0, 1, 2, 3, 4]
    assert repeated([0, 1, 0, 0]) == 0.5
