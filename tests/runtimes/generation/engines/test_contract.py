"""What every engine owes: ends, limits, seeds, refusals, cancelling. One suite over all that are installed."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from penstock.core.errors import BadInput
from tests.runtimes.generation.engines.loaded import CONTEXT, EOS, SEQUENCES, Loaded, each

pytestmark = pytest.mark.parametrize("loaded", each(), indirect=True)
PROMPT = [11, 12, 13, 14, 15, 16]


def able(loaded: Loaded, name: str) -> None:
    """Skips the test where the engine says that it cannot do this."""
    if not getattr(loaded.engine.can, name):
        pytest.skip(f"the engine does not offer {name}")


def test_the_tokenizer_reads_and_writes_text(loaded: Loaded) -> None:
    tokens = loaded.tokenizer.encode("def main(argv):\n    return '\N{SNOWMAN} déjà'")
    pieces = loaded.tokenizer.pieces()
    assert b"".join(pieces[token] for token in tokens).decode() == "def main(argv):\n    return '\N{SNOWMAN} déjà'"
    assert loaded.tokenizer.encode("<|im_end|>") == [EOS]
    assert EOS not in loaded.tokenizer.encode("<|im_end|>", special=False)
    assert EOS in loaded.tokenizer.control


def test_an_answer_ends_at_its_limit(loaded: Loaded) -> None:
    for most in (1, 2, 7):
        id = loaded.submit(PROMPT, max_tokens=most)
        loaded.finish()
        assert len(loaded.tokens[id]) == most
        assert loaded.ended[id] == "length"


def test_an_answer_may_fill_the_context(loaded: Loaded) -> None:
    prompt = [20 + number % 300 for number in range(CONTEXT - 3)]
    id = loaded.submit(prompt, max_tokens=3)
    loaded.finish()
    assert len(loaded.tokens[id]) == 3


def test_a_stop_token_ends_the_answer_and_is_told(loaded: Loaded) -> None:
    answer = loaded.one(PROMPT)
    stop = answer[4]
    until = answer[: answer.index(stop) + 1]
    for ignore in (False, True):
        id = loaded.submit(PROMPT, stop_token_ids=(stop,), ignore_eos=ignore)
        loaded.finish()
        assert loaded.tokens[id] == until
        assert loaded.ended[id] == "stop"


def test_a_stop_token_that_comes_first_ends_the_answer(loaded: Loaded) -> None:
    first = loaded.one(PROMPT)[0]
    id = loaded.submit(PROMPT, stop_token_ids=(first,), ignore_eos=False)
    loaded.finish()
    assert (loaded.tokens[id], loaded.ended[id]) == ([first], "stop")


def test_no_end_before_min_tokens(loaded: Loaded) -> None:
    able(loaded, "min_tokens")
    stop = loaded.one(PROMPT)[0]
    id = loaded.submit(PROMPT, stop_token_ids=(stop,), min_tokens=4, ignore_eos=False)
    loaded.finish()
    assert stop not in loaded.tokens[id][:4]
    assert len(loaded.tokens[id]) > 4


def test_a_seed_gives_the_same_text_twice(loaded: Loaded) -> None:
    drawn = {"temperature": 1.0, "seed": 7}
    first = loaded.one(PROMPT, **drawn)
    assert loaded.one(PROMPT, **drawn) == first
    id = loaded.submit(PROMPT, **drawn)
    loaded.submit(PROMPT[::-1], temperature=1.0, seed=8)
    loaded.finish()
    assert loaded.tokens[id] == first, "in company too"
    assert loaded.one(PROMPT, temperature=1.0, seed=-(2**63)) == loaded.one(PROMPT, temperature=1.0, seed=-(2**63))


def test_without_a_seed_answers_differ(loaded: Loaded) -> None:
    answers = {tuple(loaded.one(PROMPT, temperature=1.5, max_tokens=8)) for _ in range(4)}
    assert len(answers) > 1


@pytest.mark.parametrize("only", [{"top_k": 1}, {"top_p": 0.0001}, {"min_p": 1.0}, {"temperature": 1e-5}])
def test_what_leaves_one_token_is_greedy(loaded: Loaded, only: dict[str, Any]) -> None:
    if "min_p" in only:
        able(loaded, "min_p")
    assert loaded.one(PROMPT, **{"temperature": 1.0, "seed": 1, **only}) == loaded.one(PROMPT)


def test_top_k_keeps_the_likeliest(loaded: Loaded) -> None:
    first = {loaded.one(PROMPT, temperature=3.0, top_k=2, seed=seed, max_tokens=1)[0] for seed in range(8)}
    assert len(first) <= 2
    assert loaded.one(PROMPT, max_tokens=1)[0] in first


def test_penalties_keep_tokens_from_coming_again(loaded: Loaded) -> None:
    able(loaded, "penalties")
    prompt = PROMPT * 8
    plain = loaded.one(prompt, max_tokens=40)
    for penalty in ({"frequency_penalty": 2.0}, {"presence_penalty": 2.0}):
        assert len(set(loaded.one(prompt, max_tokens=40, **penalty))) > len(set(plain))


def test_a_repetition_penalty_counts_the_prompt(loaded: Loaded) -> None:
    able(loaded, "repetition_penalty")
    first = loaded.one(PROMPT, max_tokens=1)[0]
    prompt = [first, *PROMPT]
    again = loaded.one(prompt, max_tokens=1)[0]
    assert loaded.one([again, *prompt], max_tokens=1, repetition_penalty=2.0)[0] != again or again not in prompt


def test_a_bias_makes_a_token_certain(loaded: Loaded) -> None:
    able(loaded, "logit_bias")
    assert loaded.one(PROMPT, logit_bias={77: 100.0}, max_tokens=3) == [77, 77, 77]
    banned = loaded.one(PROMPT, max_tokens=1)[0]
    assert banned not in loaded.one(PROMPT, logit_bias={banned: -100.0})


def test_logprobs_are_told_where_asked_for(loaded: Loaded) -> None:
    able(loaded, "logprobs")
    asked, other = loaded.submit(PROMPT, logprobs=0), loaded.submit(PROMPT)
    loaded.finish()
    assert len(loaded.choices[asked]) == len(loaded.tokens[asked])
    assert all(-9999 <= chosen.logprob <= 0 and not chosen.top for chosen in loaded.choices[asked])
    assert not loaded.choices[other]


def test_alternatives_are_told_where_asked_for(loaded: Loaded) -> None:
    able(loaded, "top_logprobs")
    id = loaded.submit(PROMPT, logprobs=loaded.engine.can.top_logprobs)
    loaded.finish()
    for token, chosen in zip(loaded.tokens[id], loaded.choices[id], strict=True):
        assert len(chosen.top) == loaded.engine.can.top_logprobs
        assert chosen.top[0] == (token, pytest.approx(chosen.logprob))
        assert [logprob for _, logprob in chosen.top] == sorted((one for _, one in chosen.top), reverse=True)


GRAMMARS = {
    'root ::= "yes" | "no"': ("yes", "no"),
    'root ::= "a" "b"{2,3} "c"?': ("abb", "abbb", "abbc", "abbbc"),
    'root ::= item ("," item){2}\nitem ::= "0" | "1"\n': tuple(
        f"{a},{b},{c}" for a in "01" for b in "01" for c in "01"
    ),
    'root ::= "\\"\\u00e9\\n\\""': ('"é\n"',),
}


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_an_answer_follows_its_grammar(loaded: Loaded, grammar: str) -> None:
    able(loaded, "grammar")
    pieces = loaded.tokenizer.pieces()
    for sampling in ({}, {"temperature": 1.5, "seed": 3}):
        free = loaded.submit(PROMPT)
        id = loaded.submit(PROMPT, grammar, ignore_eos=False, max_tokens=30, **sampling)
        loaded.finish()
        assert loaded.ended[id] == "stop"
        assert b"".join(pieces[token] for token in loaded.tokens[id][:-1]).decode() in GRAMMARS[grammar]
        assert loaded.tokens[free] == loaded.one(PROMPT), "the company is free"


BAD: dict[str, dict[str, Any]] = {
    "empty": {"prompt": []},
    "beyond the vocabulary": {"prompt": [5, 10**6]},
    "negative": {"prompt": [-1, 5]},
    "no room for an answer": {"prompt": [5] * CONTEXT},
    "too long": {"prompt": [5] * (CONTEXT + 1)},
    "answer too long": {"prompt": PROMPT, "max_tokens": CONTEXT},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_wrong_is_refused_and_harms_nobody(loaded: Loaded, bad: dict[str, Any]) -> None:
    id = loaded.submit(PROMPT)
    loaded.step()
    with pytest.raises(BadInput):
        loaded.submit(**bad)
    loaded.finish()
    assert loaded.tokens[id] == loaded.one(PROMPT)


def test_a_cancelled_sequence_is_not_heard_of_again(loaded: Loaded) -> None:
    gone, stays = loaded.submit(PROMPT, max_tokens=400), loaded.submit(PROMPT)
    for _ in range(4):
        loaded.step()
    loaded.engine.cancel(gone)
    loaded.engine.cancel(10**9)
    heard = len(loaded.tokens[gone])
    loaded.finish()
    assert len(loaded.tokens[gone]) == heard
    assert loaded.tokens[stays] == loaded.one(PROMPT)


def test_a_hundred_cancels_leave_nothing(loaded: Loaded) -> None:
    draw = random.Random(5)
    wanted = loaded.one(PROMPT * 12)
    for _ in range(100):
        id = loaded.submit(PROMPT * draw.randrange(1, 40), max_tokens=200)
        for _ in range(draw.randrange(3)):
            loaded.step()
        loaded.engine.cancel(id)
    for _ in range(50):
        loaded.step()
    assert not loaded.engine.busy
    stats = loaded.engine.stats()
    assert (stats.running, stats.waiting, stats.kv_usage) == (0, 0, 0.0)
    assert loaded.one(PROMPT * 12) == wanted


def test_cancelled_before_its_first_step(loaded: Loaded) -> None:
    id = loaded.submit(PROMPT)
    loaded.engine.cancel(id)
    loaded.finish()
    assert loaded.tokens[id] == []


def test_more_sequences_than_places_wait_for_their_turn(loaded: Loaded) -> None:
    ids = [loaded.submit([*PROMPT, 20 + number], max_tokens=6) for number in range(3 * SEQUENCES)]
    most = waited = 0
    while loaded.engine.busy:
        loaded.step()
        stats = loaded.engine.stats()
        most, waited = max(most, stats.running), max(waited, stats.waiting)
    assert most <= SEQUENCES
    assert waited > 0
    assert all(len(loaded.tokens[id]) == 6 for id in ids)


def test_stats_are_of_the_present(loaded: Loaded) -> None:
    before = loaded.engine.stats()
    loaded.submit(PROMPT * 20, max_tokens=30)
    for _ in range(5):
        loaded.step()
    during = loaded.engine.stats()
    assert during.running == 1
    assert 0 < during.kv_usage <= 1
    assert during.prefix_queries >= before.prefix_queries
    loaded.finish()
    assert loaded.engine.stats().running == 0


def test_a_step_with_nothing_to_do_returns_at_once(loaded: Loaded) -> None:
    loaded.finish()
    started = time.perf_counter()
    assert loaded.engine.step() == []
    assert time.perf_counter() - started < 1
