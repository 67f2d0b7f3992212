"""Greedy tokens are those of transformers in FP32: alone, in a full batch, with and without prefix cache, in chunks."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.runtimes.generation.engines.loaded import KINDS, Kind, Loaded, each, load
from tests.runtimes.generation.engines.plain_transformers import Reference

ANSWER = 10
GAP = 0.02
"""Logits that are nearer to each other than this are as good as equal: the engines round differently."""
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no prefix cache": {"prefix_cache": False},
    "chunks": {"chunk": 48},
    "chunks, no prefix cache": {"chunk": 40, "prefix_cache": False},
}


def prompts(seed: int = 1) -> list[list[int]]:
    """Ten of mixed lengths, around the ends of blocks too; one begins like another."""
    draw = random.Random(seed)
    lengths = (1, 31, 32, 33, 64, 97, 120, 200, 7)
    made = [[draw.randrange(3, 400) for _ in range(length)] for length in lengths]
    return [*made, made[6][:70] + made[0]]


def agree(reference: Reference, prompt: list[int], answer: list[int]) -> None:
    """The answer is the reference's; where it first differs, the choice was as good as equal."""
    wanted = reference.greedy(prompt, len(answer))
    at = next((number for number, pair in enumerate(zip(answer, wanted, strict=True)) if pair[0] != pair[1]), None)
    if at is not None:
        assert reference.gap([*prompt, *wanted[:at]], answer[at]) < GAP, f"differs from token {at} on"


EXACT = [kind for kind in KINDS if kind.exact]


@pytest.mark.parametrize("kind", each(EXACT))
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_greedy_tokens_are_those_of_transformers(
    kind: Kind, settings: dict[str, Any], llama: Path, reference: Reference
) -> None:
    loaded = load(kind, llama, **settings)
    asked = prompts()
    for prompt, answer in zip(asked, loaded.all(asked, max_tokens=ANSWER), strict=True):
        assert len(answer) == ANSWER
        agree(reference, prompt, answer)
    agree(reference, asked[7], loaded.one(asked[7], max_tokens=ANSWER))


@pytest.mark.parametrize("kind", each(EXACT))
def test_logprobs_are_those_of_transformers(kind: Kind, llama: Path, reference: Reference) -> None:
    loaded = load(kind, llama)
    prompt = prompts()[4]
    id = loaded.submit(prompt, logprobs=loaded.engine.can.top_logprobs and 3, max_tokens=4)
    loaded.finish()
    answer = loaded.tokens[id]
    assert len(loaded.choices[id]) == len(answer)
    for number, chosen in enumerate(loaded.choices[id]):
        logprobs = reference.logits([*prompt, *answer[:number]]).log_softmax(-1)
        assert chosen.logprob == pytest.approx(float(logprobs[answer[number]]), abs=GAP)
        for token, logprob in chosen.top:
            assert logprob == pytest.approx(float(logprobs[token]), abs=GAP)


@pytest.mark.parametrize("kind", each(EXACT))
def test_sequences_that_come_and_go_do_not_change_others(kind: Kind, llama: Path, reference: Reference) -> None:
    loaded, asked, draw = load(kind, llama, chunk=64), prompts(2), random.Random(3)
    ids: dict[int, list[int]] = {}
    for prompt in asked * 2:
        ids[loaded.submit(prompt, max_tokens=draw.randrange(1, ANSWER))] = prompt
        for _ in range(draw.randrange(3)):
            loaded.step()
        if draw.random() < 0.4:
            gone = draw.choice(list(ids))
            loaded.engine.cancel(gone)
            del ids[gone]
    loaded.finish()
    for id, prompt in ids.items():
        agree(reference, prompt, loaded.tokens[id])


def same(loaded: Loaded, prompt: list[int], **sampling: Any) -> bool:
    return loaded.one(prompt, **sampling) == loaded.one(prompt, **sampling)
