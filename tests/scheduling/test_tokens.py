"""Tokens are estimated before they are counted: the estimate, the lanes, the pieces, the batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.tensors import Array, Tensor, bytes_array, object_array
from penstock.scheduling.batching.policy import CPU_TOKENS, CUDA_TOKENS, BatchingSettings
from penstock.scheduling.batching.tokens import TokenBatcher
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.tokens import LaneKey, TokenMeter, band, slices
from penstock.scheduling.work import Work


def texts(*values: str) -> dict[str, Tensor]:
    return {"text": Tensor("BYTES", bytes_array(list(values)))}


def counts(*values: int) -> Array:
    return np.array(values, np.int32)


def test_an_estimate_grows_with_the_text_and_stops_at_what_the_model_reads() -> None:
    meter = TokenMeter(64)
    assert meter.rows(texts("", "a" * 40, "a" * 10_000)) == [2, 14, 64]


def test_pairs_and_token_ids_count() -> None:
    meter = TokenMeter(512)
    pair = {**texts("a" * 10), "text_pair": Tensor("BYTES", bytes_array(["b" * 20]))}
    assert meter.rows(pair) == [2 + 3 + 6]
    ids = Tensor("BYTES", object_array([np.arange(40, dtype="<i4").tobytes()], (1,)))
    assert meter.rows({**texts(""), "token_ids": ids}) == [2 + 40]


def test_the_estimate_learns_what_a_byte_is_worth() -> None:
    meter = TokenMeter(512)
    for _ in range(50):
        meter.learn(texts("x" * 100, "y" * 300), counts(102, 302))
    assert meter.rows(texts("z" * 200))[0] == pytest.approx(202, abs=15)
    for _ in range(3000):
        meter.learn(texts("x" * 100), counts(12))
    assert meter.rows(texts("z" * 200))[0] == pytest.approx(22, abs=4)


def test_rows_that_may_have_been_cut_teach_nothing() -> None:
    meter = TokenMeter(8)
    before = meter.ratio
    meter.learn(texts("a" * 5000), counts(8))
    meter.learn({**texts(""), "token_ids": texts("abcd")["text"]}, counts(3))
    assert meter.ratio == before


@pytest.mark.parametrize(("text", "tokens"), [(" " * 1_000_000, 2), ("\ufdfa" * 300_000, 10_000_000)])
def test_no_single_text_decides_what_others_are_taken_for(text: str, tokens: int) -> None:
    meter = TokenMeter(20_000_000)
    for _ in range(30):
        meter.learn(texts("a text as they come, of some length"), counts(10))
    usual = meter.ratio
    meter.learn(texts(text), counts(tokens))
    assert usual / 4 < meter.ratio < usual * 4
    for _ in range(1000):
        meter.learn(texts(text), counts(tokens))
    assert 0.04 < meter.ratio <= 1


@given(st.integers(2, 2048))
def test_bands_grow_with_length_and_are_narrow(tokens: int) -> None:
    assert band(tokens) <= band(tokens + 1)
    assert band(2 * tokens) == band(tokens) + 2
    longest = max(n for n in range(tokens, 2 * tokens + 1) if band(n) == band(tokens))
    assert longest <= 1.5 * tokens + 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 100), st.integers(1, 20))
def test_slices_cover_all_rows_in_order_within_both_bounds(sizes: list[int], budget: int, most: int) -> None:
    pieces = slices(sizes, budget, most)
    assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]
    assert pieces[-1][1] == len(sizes)
    for start, stop in pieces:
        assert stop - start == 1 or (stop - start <= most and sum(sizes[start:stop]) <= budget)


def work(length: int, *, kind: object = None, level: int = 1, arrived: float = 0.0) -> Work:
    made = Work({}, 1, lambda work, outcome: None, key=LaneKey(kind, band(length)), level=level, size=length)
    made.arrived = arrived
    return made


def queued(*works: Work) -> WorkQueue:
    queue = WorkQueue(100)
    for each in works:
        queue.push(each)
    return queue


def sizes(batch: list[Work] | float) -> list[int]:
    assert isinstance(batch, list)
    return [each.size for each in batch]


def test_a_batch_is_filled_by_tokens_and_not_by_rows() -> None:
    queue = queued(*(work(10) for _ in range(30)))
    batcher = TokenBatcher(100, 1000)
    assert [len(sizes(batcher.next(queue, 1.0))) for _ in range(3)] == [10, 10, 10]
    assert batcher.next(queue, 1.0) == math.inf


def test_the_most_urgent_goes_first_with_those_of_its_length() -> None:
    long = [work(60, arrived=0.2 + index / 100) for index in range(3)]
    short = [work(10, arrived=0.1), *(work(10, arrived=0.5) for _ in range(6))]
    queue = queued(*long, *short)
    batcher = TokenBatcher(130, 1000)
    # Seven short ones are 70 tokens; one long one still fits.
    assert sizes(batcher.next(queue, 1.0)) == [10] * 7 + [60]
    assert sizes(batcher.next(queue, 1.0)) == [60, 60]


def test_neighbours_fill_up_before_strangers() -> None:
    queue = queued(work(16, arrived=0.0), work(200, arrived=0.1), work(28, arrived=0.2), work(12, arrived=0.3))
    assert sizes(TokenBatcher(60, 1000).next(queue, 1.0)) == [16, 12, 28]


def test_a_longer_row_than_the_budget_runs_alone() -> None:
    queue = queued(work(500), work(3, arrived=0.1))
    batcher = TokenBatcher(100, 10)
    assert sizes(batcher.next(queue, 1.0)) == [500]
    assert sizes(batcher.next(queue, 1.0)) == [3]


def test_it_waits_for_company_until_the_budget_is_full() -> None:
    queue = queued(work(10, arrived=1.0), work(30, arrived=1.002))
    batcher = TokenBatcher(100, 10, max_wait_s=0.005)
    assert batcher.next(queue, 1.003) == pytest.approx(1.005)
    assert sizes(batcher.next(queue, 1.003, hurry=True)) == [10, 30]
    queue = queued(work(60, arrived=1.0), work(60, arrived=1.0))
    assert sizes(batcher.next(queue, 1.001)) == [60]


def test_kinds_do_not_mix() -> None:
    queue = queued(work(10, kind="a"), work(10, kind="b", arrived=-1.0))
    batch = TokenBatcher(100, 10).next(queue, 1.0)
    assert isinstance(batch, list)
    assert [each.key.kind for each in batch] == ["b"]  # type: ignore[attr-defined]


def test_budgets_by_device() -> None:
    assert BatchingSettings().token_budget("auto") == CPU_TOKENS
    assert BatchingSettings().token_budget("cuda:1") == CUDA_TOKENS
    assert BatchingSettings(max_tokens=7).token_budget("cuda") == 7
