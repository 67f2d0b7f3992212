"""Requests of a language model: events in order, choices, ends, cancellation."""

from __future__ import annotations

import pytest

from penstock.core.errors import BadInput, ModelFailed
from penstock.core.generation import Generation, Sampling, Started, Stopped, Text, Usage
from tests.runtimes.generation.scripted import ScriptedEngine
from tests.runtimes.generation.talk import ask, ids, runtime, told, well

ANSWER = "the café 🦊 says naïve"


def plain(prompt: str = "the fox", **more: object) -> Generation:
    return Generation(prompt=prompt, **more)


def test_a_plain_prompt_is_answered() -> None:
    (events,) = ask(runtime(ScriptedEngine(ids(ANSWER))), plain())
    started, ended = well(events)
    answer = told(events)
    assert answer["text"] == ANSWER
    assert answer["reason"] == "stop"
    assert started.prompt_tokens == len(ids("the fox"))
    assert ended.usage.completion_tokens == len(ids(ANSWER)) + 1 == answer["tokens"]


def test_the_end_of_max_tokens_is_a_length() -> None:
    (events,) = ask(runtime(ScriptedEngine(ids(ANSWER))), plain(sampling=Sampling(max_tokens=2)))
    assert told(events)["reason"] == "length"
    assert well(events)[1].usage.completion_tokens == 2


def test_a_character_cut_by_the_length_is_a_replacement() -> None:
    engine = ScriptedEngine(ids("🦊"))
    (events,) = ask(runtime(engine), plain(sampling=Sampling(max_tokens=2)))
    assert told(events)["text"] == "\ufffd"


@pytest.mark.parametrize("pace", [1, 2, 3, 100])
def test_no_text_holds_half_a_character(pace: int) -> None:
    (events,) = ask(runtime(ScriptedEngine(ids("🦊é🦊"), pace=pace)), plain())
    assert all("\ufffd" not in event.text for event in events if isinstance(event, Text))
    assert told(events)["text"] == "🦊é🦊"


def test_other_choices_wait_for_the_first_token_of_the_first() -> None:
    engine = ScriptedEngine(ids(ANSWER))
    made = runtime(engine)
    made.submit(0, plain(choices=3, sampling=Sampling(seed=7)))
    made.step()
    assert [sequence.sampling.seed for sequence in engine.submitted] == [7, 8, 9]
    made.cancel(0)
    assert len(engine.cancelled) == 3
    assert not made.busy


def test_all_choices_begin_at_once_without_a_prefix_cache() -> None:
    engine = ScriptedEngine(ids(ANSWER))
    made = runtime(engine, prefix_cache=False)
    (events,) = ask(made, plain(choices=3))
    assert isinstance(events[0], Started)
    assert engine.steps == len(ids(ANSWER)) + 1


def test_every_choice_ends_once_and_usage_counts_them_all() -> None:
    (events,) = ask(runtime(ScriptedEngine(ids(ANSWER))), plain(choices=4))
    _, ended = well(events)
    assert [told(events, index)["text"] for index in range(4)] == [ANSWER] * 4
    length = len(ids(ANSWER)) + 1
    assert ended.usage == Usage(len(ids("the fox")), 0, 4 * length, 0, 2 * 4 * length, 4 * length)


def test_the_error_of_one_choice_ends_them_all() -> None:
    engine = ScriptedEngine(ids(ANSWER))
    engine.refusing = "not that"
    (events,) = ask(runtime(engine), plain(choices=2))
    assert isinstance(events[-1], BadInput)
    assert len(engine.cancelled) == 1


def test_an_answer_that_the_engine_gives_up_is_an_error() -> None:
    engine = ScriptedEngine(ids(ANSWER))
    engine.failing = "no blocks left"
    (events,) = ask(runtime(engine), plain())
    (error,) = events
    assert isinstance(error, ModelFailed)
    assert error.detail == "no blocks left"
    assert "blocks" not in error.message


def test_a_cancelled_request_says_nothing_more() -> None:
    engine = ScriptedEngine(ids(ANSWER))
    made = runtime(engine)
    for stage in range(3):
        made.submit(stage, plain())
        for _ in range(stage):
            made.step()
        made.cancel(stage)
        assert not made.busy
        assert made.step() == []
    made.submit(0, plain(choices=0, sampling=Sampling(stop_token_ids=(10**6,))))
    made.cancel(0)
    assert made.step() == []
    made.cancel(99)


def test_the_engine_is_not_stepped_without_work() -> None:
    engine = ScriptedEngine()
    assert runtime(engine).step() == []
    assert engine.steps == 0


def test_an_echo_comes_before_the_answer() -> None:
    made = runtime(ScriptedEngine(ids(" jumps")))
    texts, numbers = ask(made, plain(echo=True, choices=2), Generation(prompt=tuple(ids("the fox")), echo=True))
    assert told(texts, 0)["text"] == told(texts, 1)["text"] == "the fox jumps"
    assert told(numbers)["text"] == "the fox jumps"


def test_counting_generates_nothing() -> None:
    engine = ScriptedEngine(ids(ANSWER))
    tokens = tuple(ids("the fox"))
    counted, shown = ask(runtime(engine), plain(count_only=True), Generation(prompt=tokens, count_only=True, echo=True))
    assert counted[0] == Started(len(tokens), tokens=tokens)
    assert well(counted)[1].usage == Usage(prompt_tokens=len(tokens))
    assert shown[1] == Text(0, "the fox")
    assert engine.submitted == []


def test_log_probabilities_ride_with_their_text() -> None:
    made = runtime(ScriptedEngine(ids("🦊 fox")))
    (events,) = ask(made, plain(sampling=Sampling(logprobs=2)))
    logprobs = told(events)["logprobs"]
    assert b"".join(each.raw for each in logprobs) == "🦊 fox".encode()
    assert logprobs[0].top[1][2] == -9999.0
    assert len(logprobs[0].top) == 2


def test_control_tokens_are_neither_text_nor_log_probabilities() -> None:
    made = runtime(ScriptedEngine(ids("the</s> fox")))
    (events,) = ask(made, plain(sampling=Sampling(logprobs=0, ignore_eos=True)))
    answer = told(events)
    assert answer["text"] == "the fox"
    assert b"".join(each.raw for each in answer["logprobs"]) == b"the fox"
    assert answer["tokens"] == len(ids("the</s> fox")) + 1


def test_stopped_is_the_last_of_its_choice() -> None:
    (events,) = ask(runtime(ScriptedEngine([])), plain())
    assert [type(event) for event in events[1:-1]] == [Stopped]
    assert events[1].tokens == 1


def test_the_first_token_of_a_text_is_added_once() -> None:
    made = runtime(ScriptedEngine([]), add_bos=True)
    bare, begun, empty = ask(made, plain("the"), plain("<s>the"), plain(""))
    assert bare[0].prompt_tokens == begun[0].prompt_tokens == 1 + len(ids("the"))
    assert empty[0].prompt_tokens == 1
