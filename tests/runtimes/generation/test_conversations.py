"""Conversations: templates, thoughts, tools, stop strings, through the whole runtime."""

from __future__ import annotations

import select
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.errors import BadInput, ContextExceeded, ModelFailed
from penstock.core.generation import Call, CallStarted, Generation, Message, Sampling, Started
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.scripted import ScriptedEngine
from tests.runtimes.generation.talk import ADD, CHATML, WEATHER, ask, chat, ids, runtime, told, well
from tests.runtimes.generation.words import tokenizer

HERMES = CHATML + "{# tools <tool_call> <think></think> #}"
OSLO = '{"city": "Oslo"}'
CALL = f'<tool_call>\n{{"name": "weather", "arguments": {OSLO}}}\n</tool_call>'


class Talk:
    """A runtime with a template, on an engine whose script may be changed."""

    def __init__(self, made: LanguageRuntime, engine: ScriptedEngine):
        self.made = made
        self.engine = engine

    def answer(self, script: str, generation: Generation, pace: int = 1) -> list[Any]:
        self.engine.script, self.engine.pace = ids(script), pace
        return ask(self.made, generation)[0]


def talk(template: str, **options: Any) -> Talk:
    engine = ScriptedEngine()
    return Talk(runtime(engine, chat_template=template, **options), engine)


@pytest.fixture(scope="module")
def hermes() -> Iterator[Talk]:
    made = talk(HERMES)
    yield made
    made.made.close()


def test_the_template_makes_the_prompt(hermes: Talk) -> None:
    events = hermes.answer("hi", chat("hello 🦊"))
    prompt = "<|im_start|>user\nhello 🦊<|im_end|>\n<|im_start|>assistant\n"
    assert hermes.engine.submitted[-1].prompt == ids(prompt)
    assert well(events)[0].prompt_tokens == len(ids(prompt))
    assert told(events)["text"] == "hi"


def test_thoughts_are_apart_and_counted(hermes: Talk) -> None:
    events = hermes.answer("<think>\nthe fox\n</think>\n\nthe dog", chat())
    answer = told(events)
    assert (answer["reasoning"], answer["text"]) == ("the fox", "the dog")
    assert well(events)[1].usage.reasoning_tokens == len(ids("<think>\nthe fox\n</think>"))
    assert well(events)[1].usage.completion_tokens == answer["tokens"]


def test_thoughts_that_the_template_opened() -> None:
    made = talk(CHATML + "<think>\n{# </think> #}")
    events = made.answer("the fox</think>the dog", chat())
    assert (told(events)["reasoning"], told(events)["text"]) == ("the fox", "the dog")
    assert well(events)[1].usage.reasoning_tokens == len(ids("the fox</think>"))
    made.made.close()


def test_a_call_is_told_whole(hermes: Talk) -> None:
    answer = told(hermes.answer(f"the dog\n{CALL}", chat(tools=(WEATHER,))))
    assert answer["calls"] == [("weather", OSLO)]
    assert (answer["text"], answer["reason"]) == ("the dog", "tool_calls")


def test_ids_of_calls_differ(hermes: Talk) -> None:
    events = hermes.answer(CALL * 2, chat(tools=(WEATHER,), choices=2))
    found = [event.id for event in events if isinstance(event, CallStarted)]
    assert len(set(found)) == 4
    assert all(id.startswith("call_") and len(id) == 29 for id in found)


def test_without_tools_a_call_is_text(hermes: Talk) -> None:
    for generation in (chat(), chat(tools=(WEATHER,), tool_choice="none"), chat(tools=(ADD,))):
        answer = told(hermes.answer(CALL, generation))
        assert (answer["text"], answer["calls"], answer["reason"]) == (CALL, [], "stop")


@pytest.mark.parametrize("said", ["", "the dog\n"])
def test_a_call_cut_by_the_length_is_nothing(hermes: Talk, said: str) -> None:
    whole = len(ids(f"{said}{CALL}".removesuffix("\n</tool_call>")))
    for most in range(len(ids(said)) + 1, whole):
        events = hermes.answer(said + CALL, chat(tools=(WEATHER,), sampling=Sampling(max_tokens=most, logprobs=0)))
        answer = told(events)
        assert (answer["calls"], answer["text"], answer["reason"]) == ([], said.strip(), "length")
        assert answer["tokens"] == well(events)[1].usage.completion_tokens == most
        assert b"".join(each.raw for each in answer["logprobs"]).decode().strip() == said.strip()


def test_a_call_that_the_model_ends_in_the_middle_is_text(hermes: Talk) -> None:
    half = CALL[: CALL.index("Oslo")]
    answer = told(hermes.answer(half, chat(tools=(WEATHER,))))
    assert (answer["calls"], answer["text"], answer["reason"]) == ([], half, "stop")


def test_a_whole_call_counts_though_the_length_came_after(hermes: Talk) -> None:
    answer = told(hermes.answer(CALL, chat(tools=(WEATHER,), sampling=Sampling(max_tokens=len(ids(CALL))))))
    assert answer["calls"] == [("weather", OSLO)]
    assert answer["reason"] == "length"


def test_one_call_ends_the_answer_when_no_more_are_wanted(hermes: Talk) -> None:
    cancelled = len(hermes.engine.cancelled)
    answer = told(hermes.answer(CALL + CALL, chat(tools=(WEATHER,), parallel_calls=False)))
    assert answer["calls"] == [("weather", OSLO)]
    assert answer["reason"] == "tool_calls"
    assert len(hermes.engine.cancelled) == cancelled + 1


def test_marks_that_are_control_tokens() -> None:
    made = talk(CHATML + "{# tools [TOOL_CALLS] #}")
    script = f"[TOOL_CALLS]weather[ARGS]{OSLO}"
    assert ids("[TOOL_CALLS]")[0] in tokenizer().control
    assert told(made.answer(script, chat(tools=(WEATHER,))))["calls"] == [("weather", OSLO)]
    assert told(made.answer(script, chat()))["text"] == f"weather{OSLO}"
    made.made.close()


def test_a_stop_string_ends_the_sequence(hermes: Talk) -> None:
    cancelled = len(hermes.engine.cancelled)
    events = hermes.answer("the fox jumps over", chat(sampling=Sampling(stop=("fox j", "over"))))
    answer = told(events)
    assert (answer["text"], answer["reason"], answer["stop"]) == ("the ", "stop", "fox j")
    assert len(hermes.engine.cancelled) == cancelled + 1
    assert well(events)[1].usage.completion_tokens < len(ids("the fox jumps over"))


def test_stop_strings_are_not_looked_for_in_thoughts_and_calls(hermes: Talk) -> None:
    script = f"<think>the fox</think>the dog{CALL}the fox"
    answer = told(hermes.answer(script, chat(tools=(WEATHER,), sampling=Sampling(stop=("fox", "Oslo")))))
    assert answer["reasoning"] == "the fox"
    assert answer["calls"] == [("weather", OSLO)]
    assert (answer["text"], answer["stop"], answer["reason"]) == ("the dogthe ", "fox", "tool_calls")


def test_log_probabilities_are_the_texts_alone(hermes: Talk) -> None:
    sampling = Sampling(logprobs=0, stop=(" over",))
    answer = told(hermes.answer("<think>the dog</think>🦊 jumps over", chat(sampling=sampling), pace=3))
    assert b"".join(each.raw for each in answer["logprobs"]) == "🦊 jumps".encode()


def test_calls_go_into_the_template_as_objects() -> None:
    template = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.name }}"
        "({{ c.function.arguments | tojson }})={{ c.id }}{% endfor %}{{ m.tool_call_id or '' }};{% endfor %}"
        "{{ tools[0].function.name }}{# <tool_call> [TOOL_CALLS] #}"
    )
    made = talk(template)
    id = "call_" + "a" * 24
    messages = (
        Message("user", "hi"),
        Message("assistant", "", (Call(id, "weather", OSLO),)),
        Message("tool", "rain", (), id, "weather"),
    )
    made.answer("", Generation(messages=messages, tools=(WEATHER,)))
    prompt = b"".join(tokenizer().pieces()[token] for token in made.engine.submitted[-1].prompt).decode()
    short = prompt.split("=")[1][:9]
    assert prompt == f"user:hi;assistant:weather({OSLO})={short};tool:rain{short};weather"
    made.made.close()


def test_what_a_template_refuses_is_bad_input() -> None:
    made = talk("{{ raise_exception('roles must alternate') }}")
    (error,) = made.answer("", chat())
    assert isinstance(error, BadInput)
    assert "roles must alternate" in error.message
    made.made.close()


def test_a_request_is_cancelled_while_its_template_is_rendered(hermes: Talk) -> None:
    before = len(hermes.engine.submitted)
    hermes.made.submit(0, chat("never mind"))
    hermes.made.cancel(0)
    assert isinstance(hermes.answer("hi", chat("hello"))[0], Started)
    (sequence,) = hermes.engine.submitted[before:]
    assert sequence.prompt == ids("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n")


def test_two_conversations_are_answered_side_by_side(hermes: Talk) -> None:
    hermes.engine.script = ids("the fox")
    for events in ask(hermes.made, *[chat(str(number)) for number in range(20)]):
        assert told(events)["text"] == "the fox"


FRAGMENTS = st.sampled_from(
    [
        "<think>",
        "</think>",
        CALL,
        "<tool_call>",
        "</tool_call>",
        "the fox",
        " 🦊",
        "é",
        "\n",
        '{"name": "weather"',
        "stop",
    ]
)


@given(st.lists(FRAGMENTS, max_size=8), st.integers(2, 40), st.integers(0, 60))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_pace_gives_the_same_answer(hermes: Talk, texts: list[str], pace: int, length: int) -> None:
    script = "".join(texts)
    sampling = Sampling(logprobs=0, stop=("stop", "x s"), max_tokens=length or None)
    generation = chat(tools=(WEATHER,), sampling=sampling, choices=2)
    slow, fast = hermes.answer(script, generation), hermes.answer(script, generation, pace)
    assert [told(slow, index) for index in (0, 1)] == [told(fast, index) for index in (0, 1)]
    slow_usage, fast_usage = well(slow)[1].usage, well(fast)[1].usage
    assert slow_usage.completion_tokens == fast_usage.completion_tokens == sum(told(slow, i)["tokens"] for i in (0, 1))
    assert slow_usage.reasoning_tokens == fast_usage.reasoning_tokens


def test_descriptors_say_when_a_template_was_rendered(hermes: Talk) -> None:
    hermes.engine.script = ids("hi")
    hermes.made.submit(0, chat())
    assert hermes.made.stats().waiting == 1
    heard = hermes.made.step()
    if not heard:
        assert not hermes.made.busy
        assert select.select(hermes.made.descriptors(), [], [], 10)[0]
        heard = hermes.made.step()
    assert isinstance(heard[0][1], Started)
    hermes.made.cancel(0)


def test_a_template_that_never_ends_fails_alone() -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    made = talk("{% if messages[0].content == 'endless' %}" + endless + "{% endif %}" + CHATML)
    made.engine.script = ids("hi")
    bad, good = ask(made.made, chat("endless"), chat("fine"), seconds=60)
    (error,) = bad
    assert isinstance(error, ModelFailed)
    assert told(good)["text"] == "hi"
    made.made.close()


def test_a_long_conversation_reaches_the_template(hermes: Talk) -> None:
    (error,) = hermes.answer("hi", chat("the fox " * 100_000))
    assert isinstance(error, ContextExceeded)
    assert error.param == "messages"
