"""Medians, ratios and verdicts: the figures that decide whether a target is met."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from bench.http import Answer
from bench.results import Overhead, Part, Text, middle, ratio
from bench.targets import at_least, at_most, lower, times
from bench.text import checks, ours
from bench.text.bare import batches_of
from bench.text.overhead import rows_per_batch
from bench.text.rivals import FASTAPI
from bench.text.targets import share, verdicts
from bench.wrk import Load


def load(per_s: float, p99_ms: float = 10.0) -> Load:
    return Load(per_s, p99_ms / 2, p99_ms, int(per_s), 0, 0)


LOADS = {"ours": {32: [load(700), load(100), load(900)]}, "theirs": {32: [load(100), load(100), load(300)]}}


def test_the_middle_is_the_median_of_the_rounds() -> None:
    assert middle(LOADS, "ours", 32, "requests_per_s") == 700
    assert middle(LOADS, "ours", 1, "requests_per_s") is None
    assert middle(LOADS, "nobody", 32, "requests_per_s") is None


def test_the_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert ratio(LOADS, "ours", "theirs", 32) == 3.0
    assert ratio(LOADS, "ours", "nobody", 32) is None


def test_a_target_that_is_just_reached_passes_and_one_below_fails() -> None:
    assert times(LOADS, "", "ours", "theirs", 32, 3.0).word == "pass"
    assert times(LOADS, "", "ours", "theirs", 32, 3.01).word == "**fail**"
    assert at_most("", 1.5, 1.5, "s").passed is True
    assert at_most("", 1.51, 1.5, "s").passed is False


def test_what_was_not_measured_neither_passes_nor_fails() -> None:
    assert at_least("", None, 1).word == "not measured"
    assert times(LOADS, "", "ours", "nobody", 32, 1).passed is None
    assert lower(LOADS, "", "ours", "theirs", 1, "p99_ms").passed is None


def test_a_latency_must_be_below_not_equal() -> None:
    loads = {"a": {1: [load(1, 9.0)]}, "b": {1: [load(1, 9.0)]}, "c": {1: [load(1, 9.1)]}}

    assert lower(loads, "", "a", "b", 1, "p99_ms").passed is False
    assert lower(loads, "", "a", "c", 1, "p99_ms").passed is True


def test_the_text_part_is_judged_against_its_peer() -> None:
    plain = {
        FASTAPI: {32: [load(100, 300)]},
        ours.FP32: {32: [load(350, 90)]},
        ours.INT8: {32: [load(699, 400)]},
    }
    repeating = {FASTAPI: {32: [load(100)]}, ours.FP32_CACHE: {32: [load(2600)]}}
    text = Text(Part(loads=plain), Part(loads=repeating), overhead={ours.FP32: [Overhead(90, 100, 16)]})

    judged = {verdict.target.split(":")[0] + verdict.measured: verdict.passed for verdict in verdicts(text)}
    assert [verdict.passed for verdict in verdicts(text)] == [True, True, False, False, True, None, True, None], judged
    assert [verdict.passed for verdict in verdicts(None)] == [None] * 8


def test_the_share_of_the_bare_runtime_is_the_median_of_the_rounds() -> None:
    text = Text(Part(), Part(), overhead={"x": [Overhead(90, 100, 8), Overhead(50, 100, 8), Overhead(99, 100, 8)]})

    assert share(text, "x") == 0.9
    assert share(text, "y") is None


def test_rows_per_batch_is_the_mean() -> None:
    assert rows_per_batch(Counter({1: 2, 16: 1})) == 6.0
    assert rows_per_batch(Counter()) == 0


def test_the_bare_loop_runs_the_same_batches_in_another_order() -> None:
    batches = list(islice(batches_of(["a", "b", "c"], [1, 2, 2, 4]), 4))

    assert sorted(len(batch) for batch in batches) == [1, 2, 2, 4]
    assert b"".join(text for batch in batches for text in batch) == b"abcabcabc"


def test_cosine() -> None:
    one = np.array([3.0, 4.0], np.float32)

    assert checks.cosine(one, one) == pytest.approx(1)
    assert checks.cosine(one, np.array([4.0, -3.0], np.float32)) == pytest.approx(0)
    assert math.isnan(checks.cosine(one, np.zeros(2, np.float32)))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"embedding": [3, 4]}', None),
        (b'{"embedding": [3, -4]}', "cosine"),
        (b'{"embedding": [0, 0]}', "cosine nan"),
    ],
)
def test_an_embedding_is_right_when_its_cosine_is_high_enough(body: bytes, says: str | None) -> None:
    problem = checks.close(Answer(200, {}, body), checks.plain, np.array([0.6, 0.8], np.float32), 0.99)

    assert problem == says if says is None else problem is not None and says in problem


@pytest.mark.parametrize("answer", [Answer(500, {}, b"no"), Answer(200, {}, b'{"embedding": [1, 2, 3]}')])
def test_what_is_no_embedding_is_refused(answer: Answer) -> None:
    with pytest.raises(ValueError, match=r"status 500|shape"):
        checks.similarity(answer, checks.plain, np.array([0.6, 0.8], np.float32))


def test_base64_is_read_as_little_endian_floats() -> None:
    body = {"data": [{"embedding": "AACAPwAAAMA="}]}

    assert checks.openai_base64(body).tolist() == [1.0, -2.0]
