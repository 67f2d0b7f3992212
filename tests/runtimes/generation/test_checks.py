"""What is refused before an engine gets it, and what the refusal says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from penstock.core import ranges
from penstock.core.errors import BadInput, ConfigError, ContextExceeded, ModelFileError
from penstock.core.generation import Generation, Message, Sampling
from penstock.core.language import wrong_default
from penstock.core.model import ModelSpec
from penstock.protocols.generation import limits
from penstock.runtimes.generation import constraint
from penstock.runtimes.generation.choice import installed
from penstock.runtimes.generation.contract import Capabilities
from penstock.runtimes.generation.engines import choice
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.scripted import ScriptedEngine
from tests.runtimes.generation.talk import CHATML, WEATHER, ask, chat, ids, runtime, told
from tests.runtimes.generation.words import tokenizer

NOTHING = Capabilities(logprobs=False, penalties=False, repetition_penalty=False, min_tokens=False)
PROMPT = "the fox"
LENGTH = len(ids(PROMPT))
NUMBERED = {"type": "object", "properties": {"k": {"enum": 5}}, "required": ["k"]}
LISTED = {"type": "object", "properties": {"k": {"enum": ["b"]}}, "required": ["k"]}


def plain(**sampling: Any) -> Generation:
    return Generation(prompt=PROMPT, sampling=Sampling(**sampling))


def refusal(made: LanguageRuntime, generation: Generation) -> BadInput:
    (events,) = ask(made, generation)
    (error,) = events
    assert isinstance(error, BadInput), events
    return error


@pytest.fixture(scope="module")
def made() -> Iterator[LanguageRuntime]:
    """An engine that can do everything, with a template that has no place for tools or a choice about thoughts."""
    yield (made := runtime(ScriptedEngine(ids(PROMPT)), chat_template=CHATML, context=64))
    made.close()


def test_prompt_and_answer_over_the_context(made: LanguageRuntime) -> None:
    error = refusal(made, plain(max_tokens=64))
    assert isinstance(error, ContextExceeded)
    assert error.param == "max_tokens"
    for number in (LENGTH, 64, 64 + LENGTH):
        assert str(number) in error.message


@pytest.mark.parametrize(
    ("generation", "param"),
    [(Generation(prompt=(5,) * 64), "prompt"), (chat("x " * 64), "messages")],
)
def test_a_prompt_over_the_context(made: LanguageRuntime, generation: Generation, param: str) -> None:
    error = refusal(made, generation)
    assert isinstance(error, ContextExceeded)
    assert error.param == param
    assert "64" in error.message


def test_a_prompt_over_the_context_can_be_counted(made: LanguageRuntime) -> None:
    (events,) = ask(made, Generation(prompt=(5,) * 100, count_only=True))
    assert events[0].prompt_tokens == 100


def test_a_text_of_many_times_the_context_is_refused_by_its_beginning(made: LanguageRuntime) -> None:
    begun = time.perf_counter()
    error = refusal(made, Generation(prompt="the fox " * 10**6))
    assert isinstance(error, ContextExceeded)
    assert time.perf_counter() - begun < 10


def test_ids_that_cannot_be_shown(made: LanguageRuntime) -> None:
    assert refusal(made, Generation(prompt=(10**6,), count_only=True, echo=True)).param == "prompt"


def test_all_the_room_is_for_the_answer() -> None:
    engine = ScriptedEngine(ids(PROMPT))
    ask(runtime(engine, context=64), plain(), plain(max_tokens=64 - LENGTH))
    assert [sequence.sampling.max_tokens for sequence in engine.submitted] == [64 - LENGTH] * 2


@pytest.mark.parametrize(
    ("generation", "param", "words"),
    [
        (Generation(), "messages", "neither"),
        (Generation(prompt=()), "prompt", "empty"),
        (Generation(prompt=""), "prompt", "empty"),
        (Generation(prompt=(3, -1, 10**6)), "prompt", "-1, 1000000"),
        (plain(stop_token_ids=(10**6,)), "stop_token_ids", "ids go from 0"),
        (plain(logit_bias={10**6: 1.0}), "logit_bias", "ids go from 0"),
        (plain(min_tokens=9, max_tokens=3), "min_tokens", "9"),
        (plain(logprobs=99), "top_logprobs", "99"),
        (Generation(prompt=PROMPT, adapter="other"), "model", "no adapter 'other'"),
        (Generation(prompt=PROMPT, echo=True, sampling=Sampling(logprobs=1)), "echo", "log-prob"),
        (chat(tools=(WEATHER,)), "tools", "no place for tools"),
        (chat(think=True), "think", "does not think"),
        (Generation(prompt=PROMPT, tools=(WEATHER,)), "tools", "conversations"),
        (Generation(prompt=PROMPT, format={"type": "strange"}), "response_format", "type"),
        (Generation(prompt=PROMPT, format={"oneOf": [NUMBERED, LISTED]}), "response_format", "oneOf"),
        (chat(tool_choice="required"), "tool_choice", "none"),
        (chat(tool_choice="=add", tools=(WEATHER,)), "tools", "no place for tools"),
    ],
)
def test_refused(made: LanguageRuntime, generation: Generation, param: str, words: str) -> None:
    error = refusal(made, generation)
    assert error.param == param
    assert words in error.message


@pytest.mark.parametrize(
    ("sampling", "param"),
    [
        ({"logprobs": 0}, "logprobs"),
        ({"logit_bias": {2: 1.0}}, "logit_bias"),
        ({"min_p": 0.1}, "min_p"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"repetition_penalty": 1.1}, "repetition_penalty"),
        ({"min_tokens": 2}, "min_tokens"),
    ],
)
def test_what_an_engine_cannot_do(sampling: dict[str, Any], param: str) -> None:
    made = runtime(ScriptedEngine(can=NOTHING))
    error = refusal(made, plain(**sampling))
    assert error.param == param
    assert "openvino cannot" in error.message


@pytest.mark.parametrize(
    ("generation", "param"),
    [
        (Generation(prompt=PROMPT, format={}), "response_format"),
        (chat(tool_choice="required", tools=(WEATHER,)), "tool_choice"),
    ],
)
def test_an_engine_without_grammars(generation: Generation, param: str) -> None:
    made = runtime(ScriptedEngine(can=NOTHING), chat_template=CHATML + "{# tools <tool_call> #}")
    assert refusal(made, generation).param == param
    made.close()


@pytest.mark.parametrize("contradiction", [{"ignore_eos": True}, {"min_tokens": 2}])
@pytest.mark.parametrize("wanted", ["response_format", "tool_choice"])
def test_an_answer_that_follows_a_grammar_ends_where_that_says(contradiction: dict[str, Any], wanted: str) -> None:
    made = runtime(ScriptedEngine(), chat_template=CHATML + "{# tools <tool_call> #}")
    sampling = Sampling(**contradiction)
    asked = Generation(prompt=PROMPT, format={"type": "boolean"}, sampling=sampling)
    if wanted == "tool_choice":
        asked = chat(tool_choice="required", tools=(WEATHER,), sampling=sampling)
    error = refusal(made, asked)
    assert error.param == next(iter(contradiction))
    assert "ends where the schema says" in error.message
    made.close()


@pytest.mark.parametrize("tiny", [1e-300, 1e-45, 1e-38, 9e-6])
def test_a_temperature_that_leaves_one_token_is_none(tiny: float) -> None:
    engine = ScriptedEngine(ids(PROMPT))
    ask(runtime(engine), plain(temperature=tiny), plain(temperature=1e-5))
    ask(runtime(engine, defaults={"temperature": tiny}), plain())
    assert [sequence.sampling.temperature for sequence in engine.submitted] == [0.0, 1e-5, 0.0]


def test_a_schema_at_which_its_reader_fails_is_refused_and_logged(
    made: LanguageRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(schema: object) -> str:
        raise KeyError("unforeseen")

    monkeypatch.setattr(constraint, "schema_grammar", failing)
    bad, good = ask(made, Generation(prompt=PROMPT, format={"type": "null"}), plain())
    assert isinstance(bad[0], BadInput)
    assert bad[0].param == "response_format"
    assert "unforeseen" not in bad[0].message
    assert "unforeseen" in caplog.text
    assert told(good)["text"] == PROMPT


def test_engines_that_can_are_named() -> None:
    made = runtime(ScriptedEngine(can=NOTHING))
    assert "llamacpp or vllm or transformers can (" in refusal(made, plain(logit_bias={1: 1.0})).message


@pytest.mark.parametrize("name", choice.ENGINES)
def test_what_engines_offer_is_told_as_it_is(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    can, told = choice.create(name).can, choice.OFFERS[name]
    assert can._replace(adapters=False, grammar=True) == told._replace(adapters=False)


def test_an_adapter_that_is_there() -> None:
    engine = ScriptedEngine(ids(PROMPT))
    made = runtime(engine, adapters={"polite": "polite.safetensors"})
    ask(made, Generation(prompt=PROMPT, adapter="polite"))
    assert engine.submitted[0].adapter == "polite"
    assert "it has polite" in refusal(made, Generation(prompt=PROMPT, adapter="rude")).message


def test_messages_without_a_template() -> None:
    error = refusal(runtime(ScriptedEngine()), chat())
    assert "/v1/completions" in error.message


def test_tools_in_a_format_that_is_not_known() -> None:
    made = runtime(ScriptedEngine(), chat_template=CHATML + "{# tools #}")
    assert "tool_format" in refusal(made, chat(tools=(WEATHER,))).message
    made.close()


def test_whether_to_think() -> None:
    switch = CHATML + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    engine = ScriptedEngine(ids("the dog"))
    made = runtime(engine, chat_template=switch)
    ask(made, chat(), chat(think=True), chat(think=False))
    lengths = [len(sequence.prompt) for sequence in engine.submitted]
    assert lengths[0] == lengths[1] == lengths[2] - 2
    made.close()


def test_thoughts_that_cannot_be_left_out() -> None:
    made = runtime(ScriptedEngine(), chat_template=CHATML + "<think>{# </think> #}")
    assert refusal(made, chat(think=False)).param == "think"
    made.close()


def test_what_the_model_recommends_holds_where_the_request_is_silent() -> None:
    engine = ScriptedEngine(ids(PROMPT))
    made = runtime(engine, defaults={"temperature": 0.6, "top_k": 20})
    ask(made, plain(), plain(temperature=0.0, top_p=0.5))
    first, second = (sequence.sampling for sequence in engine.submitted)
    assert (first.temperature, first.top_p, first.top_k, first.min_p) == (0.6, 1.0, 20, 0.0)
    assert (second.temperature, second.top_p, second.top_k) == (0.0, 0.5, 20)


def test_a_recommended_repetition_penalty_is_obeyed_unless_the_request_says_another() -> None:
    engine = ScriptedEngine(ids(PROMPT))
    made = runtime(engine, defaults={"repetition_penalty": 1.3})
    ask(made, plain(), plain(repetition_penalty=1.0), plain(repetition_penalty=1.1))
    assert [sequence.sampling.repetition_penalty for sequence in engine.submitted] == [1.3, 1.0, 1.1]
    ask(runtime(silent := ScriptedEngine(ids(PROMPT))), plain())
    assert silent.submitted[0].sampling.repetition_penalty == 1.0


def test_what_the_engine_cannot_do_is_not_recommended() -> None:
    engine = ScriptedEngine(ids(PROMPT), can=NOTHING)
    ask(runtime(engine, defaults={"repetition_penalty": 1.3, "min_p": 0.2}), plain())
    sampling = engine.submitted[0].sampling
    assert (sampling.repetition_penalty, sampling.min_p) == (1.0, 0.0)


def test_recommendations_are_read_as_requests_are() -> None:
    engine = ScriptedEngine(ids(PROMPT))
    ask(runtime(engine, defaults={"top_k": -1, "top_p": 0}), plain())
    sampling = engine.submitted[0].sampling
    assert sampling.top_k == 0
    assert sampling.top_p == limits.top_p_of(0.0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("temperature", ranges.Temperature), ("top_p", ranges.Share), ("top_k", ranges.TopK), ("min_p", ranges.Share),
     ("repetition_penalty", ranges.Repetition)],
)  # fmt: skip
def test_a_model_may_recommend_what_a_request_may_ask_for(name: str, kind: Any) -> None:
    for value in (-2, -1, -0.1, 0, 1e-9, 0.5, 1, 1.01, 2, 2.01, 10, 10.1, 10**6, 10**6 + 1, float("nan"), True, "1"):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            assert f"defaults.{name} takes" in wrong_default({name: value}), value
        else:
            assert not wrong_default({name: value}), value


def test_one_bad_request_harms_no_other(made: LanguageRuntime) -> None:
    bad, good = ask(made, Generation(prompt=(10**6,)), plain())
    assert isinstance(bad[0], BadInput)
    assert told(good)["text"] == PROMPT


@pytest.mark.parametrize("options", [{"context": "long"}, {"unknown": 1}, {"context": 9, "defaults": {"top_p": 2}}])
def test_options_that_describe_no_model(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LanguageRuntime().load(ModelSpec(name="m", runtime="llm", path="m", options=options))


def test_a_context_is_needed() -> None:
    with pytest.raises(ModelFileError, match="context"):
        LanguageRuntime().load(ModelSpec(name="m", runtime="llm", path="m"))


def test_a_broken_template_fails_the_load() -> None:
    with pytest.raises(ModelFileError, match="template"):
        runtime(ScriptedEngine(), chat_template="{% for %}")


def test_an_unknown_engine() -> None:
    with pytest.raises(ConfigError, match="openvino"):
        choice.create("other")


def test_the_vocabulary_is_the_tokenizers(made: LanguageRuntime) -> None:
    last = len(tokenizer().pieces()) - 1
    (events,) = ask(made, Generation(prompt=(last,), sampling=Sampling(max_tokens=1)))
    assert told(events)["reason"] == "length"
    assert str(last) in refusal(made, Generation(messages=(), prompt=(last + 1,))).message


def test_a_message_of_nothing(made: LanguageRuntime) -> None:
    (events,) = ask(made, Generation(messages=(Message("user"),), sampling=Sampling(max_tokens=2)))
    assert told(events)["text"]
