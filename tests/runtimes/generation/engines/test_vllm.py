"""vLLM's engine on the demo's model: the same tokens as transformers in fp32, whatever shares the batch.

Loading takes vLLM half a minute, so that one engine serves nearly all tests.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import BadInput, ConfigError, ContextExceeded
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.engines import engine_options, vllm_settings
from penstock.runtimes.generation.engines.vllm_options import VllmOptions
from tests.runtimes.generation.engines.driving import TINY, Answer, finish, one, sampling, spec, tiny

END = 1019
QUESTIONS = ["Count from 1 to 9.", "Who are you?", "Repeat: red green blue", "Say: yes"]
pytestmark = [
    pytest.mark.timeout(600),
    # Its libraries warn of each other.
    pytest.mark.filterwarnings("ignore"),
]
needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


class Loaded:
    """An engine and its tokenizer."""

    def __init__(self, folder: Path, **said: Any):
        from penstock.runtimes.generation.engines.vllm import VllmEngine

        options = {"dtype": "float32", "enforce_eager": True, "block_size": 32, **said.pop("engine_options", {})}
        sizes = {"layers": 4, "kv_heads": 3, "head_size": 64}
        self.model: LanguageModel = tiny(engine_options=options, **sizes, **said)
        self.engine = VllmEngine()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.tokenizer = self.engine.load(spec(folder, format="causal-lm", threads=2), self.model)

    def prompt(self, question: str) -> list[int]:
        """A question as the model's template puts it."""
        return self.tokenizer.encode(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")

    def text(self, answer: Answer) -> str:
        """What an answer says."""
        pieces = self.tokenizer.pieces()
        return b"".join(pieces[token] for token in answer.tokens).decode("utf-8", "replace")

    def ask(self, question: str, grammar: str = "", **said: Any) -> Answer:
        """One question alone."""
        return one(self.engine, self.prompt(question), grammar, **said)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The engine as it comes."""
    from tests.runtimes.generation.engines.folders import tiny_folder

    return Loaded(tiny_folder(tmp_path_factory.mktemp("tiny")))


def expected(loaded: Loaded, question: str, length: int = 24) -> list[int]:
    """What transformers says."""
    from tests.runtimes.generation.engines.reference import greedy

    return greedy(TINY, loaded.prompt(question), length, END)


@needs_vllm
def test_alone_and_together_it_says_what_transformers_says(loaded: Loaded) -> None:
    questions = QUESTIONS * 2
    for id, question in enumerate(questions):
        loaded.engine.submit(id, loaded.prompt(question), sampling())
    answers = finish(loaded.engine, range(len(questions)))
    assert [answers[id].tokens for id in range(len(questions))] == [expected(loaded, text) for text in questions]
    alone = loaded.ask(QUESTIONS[3])
    assert (alone.tokens, alone.finished) == (expected(loaded, QUESTIONS[3]), "stop")
    assert not loaded.engine.busy


@needs_vllm
def test_a_known_beginning_is_not_computed_again(loaded: Loaded) -> None:
    question = "Repeat after me: the old mill at the river turns and turns and turns, and the wheel of the mill too"
    first, second = (loaded.ask(question) for _ in range(2))
    assert first.tokens == second.tokens
    assert second.cached >= 32
    stats = loaded.engine.stats()
    assert stats.prefix_queries >= 2 * len(loaded.prompt(question))
    assert stats.prefix_hits >= second.cached


@needs_vllm
def test_a_seed_says_the_same_twice(loaded: Loaded) -> None:
    said = {"temperature": 1.5, "ignore_eos": True}
    answers = [loaded.ask("Tell me more.", seed=seed, **said).tokens for seed in (7, 7, 8)]
    assert answers[0] == answers[1] != answers[2]


@needs_vllm
def test_logprobs_are_those_of_the_network(loaded: Loaded) -> None:
    from tests.runtimes.generation.engines.reference import logprobs

    prompt = loaded.prompt(QUESTIONS[0])
    answer = one(loaded.engine, prompt, logprobs=5)
    truth = logprobs(TINY, prompt + answer.tokens)[len(prompt) - 1 : -1]
    for row, token, choice in zip(truth, answer.tokens, answer.choices, strict=True):
        assert choice.logprob == pytest.approx(float(row[token]), abs=0.01)
        assert (len(choice.top), choice.top[0][0]) == (5, token)
    assert all(choice.top == () for choice in loaded.ask(QUESTIONS[0], logprobs=0).choices)


@needs_vllm
def test_ends_and_biases(loaded: Loaded) -> None:
    usual = expected(loaded, "Say: yes")
    short = loaded.ask("Say: yes", max_tokens=1)
    assert (short.tokens, short.finished) == (usual[:1], "length")
    stopped = loaded.ask("Say: yes", stop_token_ids=(usual[0],))
    assert (stopped.tokens, stopped.finished) == (usual[:1], "stop")
    assert END not in loaded.ask("Say: yes", min_tokens=12).tokens[:11]
    assert len(loaded.ask("Say: yes", ignore_eos=True).tokens) == 24
    forced = loaded.tokenizer.encode("7")[0]
    assert set(loaded.ask(QUESTIONS[0], logit_bias={forced: 100.0}, max_tokens=5).tokens) == {forced}


@needs_vllm
def test_a_grammar_is_followed_and_a_broken_one_refused(loaded: Loaded) -> None:
    answer = loaded.ask("Who are you?", 'root ::= "{\\"a\\": " [0-9] [0-9] "}"')
    assert loaded.text(answer).startswith('{"a": ')
    assert loaded.text(answer).partition("<|")[0].endswith("}")
    with pytest.raises(BadInput, match="refuses"):
        loaded.ask("Who are you?", "root ::= other")
    assert not loaded.engine.busy
    assert loaded.ask(QUESTIONS[0]).tokens == expected(loaded, QUESTIONS[0])


@needs_vllm
def test_a_cancelled_sequence_is_gone_and_others_go_on(loaded: Loaded) -> None:
    for id, question in enumerate((QUESTIONS[0], QUESTIONS[3])):
        loaded.engine.submit(id, loaded.prompt(question), sampling())
    begun = [token for progress in loaded.engine.step() if progress.id == 1 for token in progress.tokens]
    loaded.engine.cancel(0)
    loaded.engine.cancel(99)
    assert begun + finish(loaded.engine, [1])[1].tokens == expected(loaded, QUESTIONS[3])
    assert not loaded.engine.busy
    assert loaded.engine.stats().kv_usage == 0


@needs_vllm
def test_impossible_requests_are_refused(loaded: Loaded) -> None:
    prompt = loaded.prompt(QUESTIONS[0])
    for wrong in ([], [-1], [1024]):
        with pytest.raises(BadInput):
            one(loaded.engine, wrong)
    with pytest.raises(ContextExceeded, match="256"):
        one(loaded.engine, prompt, max_tokens=256)
    with pytest.raises(BadInput, match="adapter"):
        one(loaded.engine, prompt, adapter="none")
    assert not loaded.engine.busy


def test_unknown_settings_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="tensor_parallel_size"):
        engine_options.read(VllmOptions, {"tensor_paralel_size": 2}, "vLLM")
    with pytest.raises(ConfigError, match="gpu_memory_utilization"):
        engine_options.read(VllmOptions, {"gpu_memory_utilization": 1.5}, "vLLM")


def test_settings_become_vllms_arguments() -> None:
    model = LanguageModel(context=1000, sequences=8, layers=2, kv_heads=4, head_size=64, speculative="prompt_lookup")
    options = engine_options.read(VllmOptions, {"tensor_parallel_size": 2, "quantization": "awq"}, "vLLM")
    arguments = vllm_settings.arguments(spec(TINY), model, options)
    assert (arguments["tensor_parallel_size"], arguments["quantization"]) == (2, "awq")
    assert (arguments["max_model_len"], arguments["max_num_seqs"]) == (1000, 8)
    assert arguments["speculative_config"]["method"] == "ngram"
    assert arguments["kv_cache_memory_bytes"] >= 8 * 1000 * model.kv_bytes_per_token()
    assert arguments["trust_remote_code"] is False
    given = engine_options.read(VllmOptions, {"gpu_memory_utilization": 0.5}, "vLLM")
    assert "kv_cache_memory_bytes" not in vllm_settings.arguments(spec(TINY), model, given)


@needs_vllm
def test_every_setting_is_one_of_vllms() -> None:
    from dataclasses import fields

    from vllm import EngineArgs

    names = {field.name for field in fields(EngineArgs)}
    assert set(VllmOptions.__struct_fields__) - names == {"structured_outputs_backend"}
    model = LanguageModel(context=64, sequences=2, speculative="prompt_lookup", adapters={"a": "b"})
    assert set(vllm_settings.arguments(spec(TINY), model, VllmOptions())) <= names
