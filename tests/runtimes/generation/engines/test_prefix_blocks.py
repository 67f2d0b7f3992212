"""The books of the prefix cache: what they know, what they forget first, and that the library's own agree."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from penstock.runtimes.generation.engines.openvino_prompts import Waiting, plan
from penstock.runtimes.generation.engines.pace import Pace
from penstock.runtimes.generation.engines.prefix_blocks import PrefixBlocks
from tests.runtimes.generation.engines.loaded import KINDS

SIZE = 4


def come(books: PrefixBlocks, owner: int, tokens: list[int]) -> int:
    """A prompt comes and is computed; returns what was known of it."""
    keys = books.keys(tokens)
    known = books.cached(keys, len(tokens))
    books.hold(owner, keys)
    books.grow(owner, keys, len(tokens))
    return known


def test_a_prompt_is_known_by_whole_blocks_but_never_to_its_last_token() -> None:
    books = PrefixBlocks(8, SIZE)
    assert come(books, 1, [1, 2, 3, 4, 5, 6]) == 0
    assert books.cached(books.keys([1, 2, 3, 4, 9]), 5) == 4
    assert books.cached(books.keys([1, 2, 3, 4]), 4) == 3
    assert books.cached(books.keys([2, 2, 3, 4, 9]), 5) == 0
    assert books.cached(books.keys([9, 9, 9, 9, 1, 2, 3, 4]), 8) == 0, "the same tokens elsewhere are not the same"


def test_what_nobody_holds_is_known_until_its_place_is_needed() -> None:
    books = PrefixBlocks(3, SIZE)
    first, second, third = [1] * 4, [2] * 4, [3] * 8
    for owner, tokens in enumerate((first, second)):
        come(books, owner, tokens)
        books.release(owner)
    assert books.cached(books.keys([*first, 0]), 5) == 4
    come(books, 7, [*first, 0])
    books.release(7)
    come(books, 8, third)
    assert books.cached(books.keys([*second, 0]), 5) == 0, "unused for longest"


def test_what_is_held_is_never_given_away() -> None:
    books = PrefixBlocks(4, SIZE)
    come(books, 1, [1] * 8)
    for owner in range(2, 30):
        come(books, owner, [owner] * 8)
        books.release(owner)
    assert books.cached(books.keys([*[1] * 8, 0]), 9) == 8


def test_more_than_there_is_room_for_is_no_reason_to_fail() -> None:
    books = PrefixBlocks(2, SIZE)
    for owner in range(4):
        come(books, owner, [owner] * 8)
    for owner in range(4):
        books.release(owner)
    assert books.cached(books.keys([*[3] * 8, 0]), 9) == 8


def test_an_answer_is_known_to_the_prompt_that_follows_it() -> None:
    books = PrefixBlocks(8, SIZE)
    come(books, 1, [1, 2, 3])
    whole = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    books.grow(1, books.keys(whole), len(whole))
    books.release(1)
    assert books.cached(books.keys([*whole, 10]), 10) == 8


@pytest.mark.skipif(bool(KINDS[0].absent), reason=KINDS[0].absent)
def test_the_library_computes_what_the_books_say(tied: Path) -> None:
    """A prompt takes one step per 32 tokens that the library does not know. It knows up to 31 more than the books."""
    import numpy as np

    from penstock.runtimes.generation.engines import openvino_settings
    from penstock.runtimes.openvino import library

    genai, blocks, draw = openvino_settings.genai(), 24, random.Random(3)
    settings = genai.SchedulerConfig()
    settings.enable_prefix_caching, settings.max_num_batched_tokens, settings.num_kv_blocks = True, 32, blocks
    pipeline = genai.ContinuousBatchingPipeline(str(tied / "f16.gguf"), settings, "CPU", {})
    books = PrefixBlocks(blocks, openvino_settings.BLOCK)
    begins = [[draw.randrange(3, 400) for _ in range(400)] for _ in range(3)]
    wrong = 0
    for number in range(60):
        prompt = draw.choice(begins)[: draw.randrange(1, 400)] + [draw.randrange(3, 400) for _ in range(number % 3 * 9)]
        known = come(books, number, prompt)
        handle = pipeline.add_request(number, library().Tensor(np.array([prompt])), _config(genai))
        steps, answer = _run(pipeline, handle)
        whole = prompt + answer[:-1]
        books.grow(number, books.keys(whole), len(whole))
        books.release(number)
        left = len(prompt) - known
        wrong += steps not in {-(-max(1, left - more) // 32) for more in range(32)}
    assert wrong <= 2, "now and then the library keeps a block for a moment longer"


def _config(genai: Any) -> Any:
    config = genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos = 3, True
    return config


def _run(pipeline: Any, handle: Any) -> tuple[int, list[int]]:
    """Steps until the first token, and the answer."""
    steps, first, answer = 0, 0, []
    while pipeline.has_non_finished_requests():
        pipeline.step()
        steps += 1
        while handle.can_read():
            first = first or steps
            answer += [token for output in handle.read().values() for token in output.generated_ids]
    return first, answer


def test_prompts_are_served_as_they_came_within_the_budget() -> None:
    assert plan([Waiting(10, 0), Waiting(20, 0), Waiting(90, 0)], 9, 64, 32) == [10, 20, 32]
    assert plan([Waiting(10, 0), Waiting(20, 0)], 1, 64, 32) == [10, 0], "one place"
    assert plan([Waiting(200, 160)], 1, 64, 32) == [200], "most is known"
    assert plan([], 4, 64, 32) == []


def test_a_long_prompt_ends_with_a_whole_block_and_leaves_room_for_short_ones() -> None:
    assert plan([Waiting(1000, 0)], 1, 100, 32) == [96]
    assert plan([Waiting(1000, 96)], 1, 100, 32) == [192]
    assert plan([Waiting(1000, 0), Waiting(20, 0)], 2, 100, 32) == [64, 20]
    assert plan([Waiting(1000, 31)], 1, 32, 32) == [32]


def test_where_prompts_are_not_split_a_long_one_goes_alone() -> None:
    assert plan([Waiting(1000, 0), Waiting(20, 0)], 2, 100, 0) == [1000, 0]
    assert plan([Waiting(20, 0), Waiting(1000, 0), Waiting(5, 0)], 3, 100, 0) == [20, 0, 0]
    assert plan([Waiting(20, 0), Waiting(30, 0)], 2, 100, 0) == [20, 30]


def test_every_prompt_is_done_at_last() -> None:
    draw = random.Random(1)
    waiting = [Waiting(draw.randrange(1, 900), 0) for _ in range(20)]
    for _ in range(1000):
        ends = plan(waiting, 4, 64, 32)
        assert sum(end - one.cached for end, one in zip(ends, waiting, strict=True) if end) <= 64
        waiting = [Waiting(one.length, end or one.cached) for end, one in zip(ends, waiting, strict=True)]
        waiting = [one for one in waiting if one.cached < one.length]
    assert waiting == []


def test_the_pace_follows_what_steps_took() -> None:
    pace = Pace(512, 32, 0.5)
    assert pace.budget() == 128
    pace.took(100, 1.0)
    assert pace.budget() == 50
    for _ in range(20):
        pace.took(100, 100.0)
    assert pace.budget() == 32
    pace.took(1, 1000.0)
    for _ in range(40):
        pace.took(100, 0.001)
    assert pace.budget() == 512
