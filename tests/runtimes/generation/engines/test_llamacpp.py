"""llama.cpp's engine on the demo's model: the same tokens as transformers, whatever shares the batch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.core.errors import BadInput, ConfigError, ContextExceeded, ModelFileError
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.contract import Tokenizer
from penstock.runtimes.generation.engines.llamacpp import LlamaCppEngine
from tests.runtimes.generation.engines.driving import TINY, Answer, finish, one, sampling, spec, tiny
from tests.runtimes.generation.engines.reference import greedy, logits, logprobs

if importlib.util.find_spec("llama_cpp") is None:
    pytest.skip("llama.cpp's Python bindings are not installed", allow_module_level=True)

END = 1019
QUESTIONS = [
    "Count from 1 to 9.",
    "Who are you?",
    "Repeat: red green blue",
    "Repeat after me: the old mill at the river turns and turns and turns, and the wheel of the mill turns too",
    "Say: yes",
]


class Loaded:
    """An engine and its tokenizer."""

    def __init__(self, path: Path = TINY, **said: Any):
        self.engine = LlamaCppEngine()
        self.model: LanguageModel = tiny(**said)
        self.tokenizer: Tokenizer = self.engine.load(spec(path), self.model)

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
def plain() -> Loaded:
    """The engine as it comes."""
    return Loaded()


def expected(loaded: Loaded, question: str, length: int = 24) -> list[int]:
    """What transformers says."""
    return greedy(TINY, loaded.prompt(question), length, END)


def together(loaded: Loaded, questions: list[str], **said: Any) -> dict[int, Answer]:
    """All questions at once."""
    for id, question in enumerate(questions):
        loaded.engine.submit(id, loaded.prompt(question), sampling(**said))
    return finish(loaded.engine, range(len(questions)))


@pytest.mark.parametrize("question", QUESTIONS)
def test_alone_it_says_what_transformers_says(plain: Loaded, question: str) -> None:
    answer = plain.ask(question)
    assert answer.tokens == expected(plain, question)
    assert answer.finished == ("stop" if answer.tokens[-1] == END else "length")


@pytest.mark.parametrize(
    "said",
    [{}, {"prefix_cache": False}, {"chunk": 16}, {"sequences": 2}, {"kv_precision": "f32"}],
    ids=lambda said: "-".join(said) or "default",
)
def test_in_a_full_batch_it_says_the_same(said: dict[str, Any]) -> None:
    loaded = Loaded(**said)
    questions = QUESTIONS * 2
    answers = together(loaded, questions)
    assert [answers[id].tokens for id in range(len(questions))] == [expected(loaded, text) for text in questions]


def test_a_known_beginning_is_not_computed_again() -> None:
    loaded = Loaded()
    first, second = (loaded.ask(QUESTIONS[3]) for _ in range(2))
    length = len(loaded.prompt(QUESTIONS[3]))
    assert (first.cached, second.cached) == (0, length - 1)
    assert first.tokens == second.tokens
    stats = loaded.engine.stats()
    assert (stats.prefix_queries, stats.prefix_hits) == (2 * length, length - 1)


def test_a_beginning_is_shared_with_a_sequence_under_way() -> None:
    loaded = Loaded()
    system = "The mill is old. " * 8
    loaded.engine.submit(0, loaded.prompt(system + QUESTIONS[0]), sampling())
    begun = [token for progress in loaded.engine.step() for token in progress.tokens]
    loaded.engine.submit(1, loaded.prompt(system + QUESTIONS[1]), sampling())
    answers = finish(loaded.engine, [0, 1])
    assert answers[1].cached > 40
    assert begun + answers[0].tokens == expected(loaded, system + QUESTIONS[0])
    assert answers[1].tokens == expected(loaded, system + QUESTIONS[1])


def test_without_the_prefix_cache_nothing_is_known() -> None:
    loaded = Loaded(prefix_cache=False)
    assert [loaded.ask(QUESTIONS[3]).cached for _ in range(2)] == [0, 0]
    assert loaded.engine.stats().prefix_queries == 0


def test_a_seed_says_the_same_twice_and_others_differ(plain: Loaded) -> None:
    said = {"temperature": 1.5, "ignore_eos": True}
    answers = [plain.ask("Tell me more.", seed=seed, **said).tokens for seed in (7, 7, 8, 2**63 - 1)]
    assert answers[0] == answers[1]
    assert len({tuple(answer) for answer in answers}) == 3


def test_cut_candidates_leave_the_likeliest(plain: Loaded) -> None:
    for said in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
        assert plain.ask(QUESTIONS[0], temperature=2.0, **said).tokens == expected(plain, QUESTIONS[0])


def test_logprobs_are_those_of_the_network(plain: Loaded) -> None:
    prompt = plain.prompt(QUESTIONS[0])
    answer = one(plain.engine, prompt, logprobs=5)
    truth = logprobs(TINY, prompt + answer.tokens)[len(prompt) - 1 : -1]
    assert len(answer.choices) == len(answer.tokens)
    for row, token, choice in zip(truth, answer.tokens, answer.choices, strict=True):
        assert choice.logprob == pytest.approx(float(row[token]), abs=0.02)
        assert len(choice.top) == 5
        assert choice.top[0][0] == token
        assert [value for _, value in choice.top] == sorted((value for _, value in choice.top), reverse=True)
        for id, value in choice.top:
            assert value == pytest.approx(float(row[id]), abs=float(0.02 * max(1, abs(row[id]))))


def test_logprobs_without_alternatives(plain: Loaded) -> None:
    answer = plain.ask(QUESTIONS[0], logprobs=0)
    assert all(choice.top == () and choice.logprob <= 0 for choice in answer.choices)
    assert not plain.ask(QUESTIONS[0]).choices


def test_logit_bias(plain: Loaded) -> None:
    forced = plain.tokenizer.encode("7")[0]
    assert set(plain.ask(QUESTIONS[0], logit_bias={forced: 100.0}, max_tokens=5).tokens) == {forced}
    banned = expected(plain, QUESTIONS[0])[0]
    assert plain.ask(QUESTIONS[0], logit_bias={banned: -100.0}, max_tokens=3).tokens[0] != banned
    with pytest.raises(BadInput, match="logit_bias"):
        plain.ask(QUESTIONS[0], logit_bias={999_999: 1.0})


def penalized(prompt: list[int], length: int, presence: float, frequency: float, repetition: float) -> list[int]:
    """Greedy with penalties, written out: two count the answer, the third the prompt too."""
    answer: list[int] = []
    while len(answer) < length:
        values = logits(TINY, prompt + answer)[-1].astype(np.float64)
        for token in {*prompt, *answer}:
            values[token] *= repetition if values[token] < 0 else 1 / repetition
        for token in set(answer):
            values[token] -= presence + frequency * answer.count(token)
        answer.append(int(values.argmax()))
    return answer


@pytest.mark.parametrize("said", [(2.0, 0.0, 1.0), (0.0, 2.0, 1.0), (0.0, 0.0, 1.8), (-1.0, 0.5, 1.3)])
def test_penalties_count_the_answer_and_repetition_the_prompt_too(
    plain: Loaded, said: tuple[float, float, float]
) -> None:
    prompt = plain.prompt("Count from 1 to 9. Repeat: 1, 2, 3, 4, 4, 4")
    presence, frequency, repetition = said
    answer = one(
        plain.engine,
        prompt,
        ignore_eos=True,
        presence_penalty=presence,
        frequency_penalty=frequency,
        repetition_penalty=repetition,
    )
    assert answer.tokens == penalized(prompt, 24, *said)


def test_ends(plain: Loaded) -> None:
    usual = expected(plain, "Say: yes")
    assert usual[-1] == END, "the question is meant to have a short answer"
    short = plain.ask("Say: yes", max_tokens=1)
    assert (short.tokens, short.finished) == (usual[:1], "length")
    stopped = plain.ask("Say: yes", stop_token_ids=(usual[0],))
    assert (stopped.tokens, stopped.finished) == (usual[:1], "stop")
    late = plain.ask("Say: yes", min_tokens=12)
    assert len(late.tokens) >= 12
    assert END not in late.tokens[:11]
    on = plain.ask("Say: yes", ignore_eos=True)
    assert (len(on.tokens), on.finished) == (24, "length")
    assert on.tokens[: len(usual)] == usual


def test_a_grammar_is_followed(plain: Loaded) -> None:
    answer = plain.ask("Who are you?", 'root ::= "{\\"a\\": " [0-9] [0-9] "}"')
    assert plain.text(answer).startswith('{"a": ')
    assert plain.text(answer).partition("<|")[0].endswith("}")
    assert answer.finished == "stop"
    hot = [plain.ask("Say: yes", 'root ::= "left" | "right"', temperature=5.0, seed=seed) for seed in range(6)]
    assert {plain.text(answer).partition("<|")[0] for answer in hot} <= {"left", "right"}


def test_a_grammar_does_not_touch_its_neighbours(plain: Loaded) -> None:
    plain.engine.submit(0, plain.prompt(QUESTIONS[0]), sampling(), 'root ::= "left"')
    plain.engine.submit(1, plain.prompt(QUESTIONS[0]), sampling())
    answers = finish(plain.engine, [0, 1])
    assert plain.text(answers[0]).partition("<|")[0] == "left"
    assert answers[1].tokens == expected(plain, QUESTIONS[0])


@pytest.mark.parametrize("grammar", ["leaf ::= [a-z]", "root ::= other", "{", 'root ::= "a" |||| ('])
def test_a_broken_grammar_is_refused_and_nothing_else_happens(plain: Loaded, grammar: str) -> None:
    with pytest.raises(BadInput, match="grammar"):
        plain.ask("Say: yes", grammar)
    assert not plain.engine.busy
    assert plain.ask(QUESTIONS[0]).tokens == expected(plain, QUESTIONS[0])


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_a_cancelled_sequence_is_gone_and_others_go_on(steps: int) -> None:
    loaded = Loaded(chunk=16, prefix_cache=False)
    for id, question in enumerate((QUESTIONS[3] * 2, QUESTIONS[0])):
        loaded.engine.submit(id, loaded.prompt(question), sampling())
    early = [progress for _ in range(steps) for progress in loaded.engine.step()]
    loaded.engine.cancel(0)
    loaded.engine.cancel(99)
    tokens = [token for progress in early if progress.id == 1 for token in progress.tokens]
    rest = finish(loaded.engine, [1])[1]
    assert tokens + rest.tokens == expected(loaded, QUESTIONS[0])
    assert not loaded.engine.busy
    assert loaded.engine.stats().kv_usage == 0


def test_more_sequences_than_places_wait() -> None:
    loaded = Loaded(sequences=2)
    for id in range(5):
        loaded.engine.submit(id, loaded.prompt(QUESTIONS[0]), sampling())
    assert loaded.engine.stats().waiting == 5
    begun = loaded.engine.step()
    stats = loaded.engine.stats()
    assert (stats.running, stats.waiting) == (2, 3)
    assert 0 < stats.kv_usage < 1
    loaded.engine.cancel(4)
    answers = finish(loaded.engine, range(4))
    for progress in begun:
        answers[progress.id].tokens[:0] = progress.tokens
    assert all(answer.tokens == expected(loaded, QUESTIONS[0]) for answer in answers.values())


def test_a_sequence_may_fill_its_context(plain: Loaded) -> None:
    prompt = plain.prompt(QUESTIONS[0])
    room = plain.model.context - len(prompt)
    answer = one(plain.engine, prompt, max_tokens=room, ignore_eos=True)
    assert (len(answer.tokens), answer.finished) == (room, "length")
    with pytest.raises(ContextExceeded, match=r"256"):
        one(plain.engine, prompt, max_tokens=room + 1)


@pytest.mark.parametrize("prompt", [[], [-1], [1024], [2**31]])
def test_impossible_prompts_are_refused(plain: Loaded, prompt: list[int]) -> None:
    with pytest.raises(BadInput):
        one(plain.engine, prompt)
    assert not plain.engine.busy


@pytest.mark.parametrize("way", ["prompt_lookup", str(TINY)], ids=["lookup", "draft"])
def test_speculation_changes_nothing_but_the_steps(way: str) -> None:
    loaded = Loaded(speculative=way, draft_tokens=4)
    answers = together(loaded, QUESTIONS)
    assert [answers[id].tokens for id in range(len(QUESTIONS))] == [expected(loaded, text) for text in QUESTIONS]
    repeated = loaded.ask("Count from 1 to 9. " * 3, ignore_eos=True, max_tokens=60)
    assert repeated.tokens == greedy(TINY, loaded.prompt("Count from 1 to 9. " * 3), 60, -1)
    assert repeated.draft >= repeated.accepted > 0


def test_a_perfect_draft_is_always_accepted() -> None:
    loaded = Loaded(speculative=str(TINY), draft_tokens=4)
    answer = loaded.ask(QUESTIONS[0], ignore_eos=True, max_tokens=30)
    assert answer.accepted >= 0.9 * answer.draft > 0


def test_speculation_draws_as_without() -> None:
    said = {"temperature": 0.9, "seed": 5, "ignore_eos": True}
    assert (
        Loaded(speculative="prompt_lookup").ask(QUESTIONS[0], **said).tokens
        == Loaded().ask(QUESTIONS[0], **said).tokens
    )


def test_its_tokenizer_is_the_projects(plain: Loaded) -> None:
    from penstock.runtimes.generation import tokenizers

    own = tokenizers.of_gguf(TINY)
    texts = ["<|im_start|>user\nHello, 1234 wörld 🙂\n\n  x<|im_end|>", "a  b\t\n c", "", "don't", "水車"]
    for special in (True, False):
        assert [plain.tokenizer.encode(text, special=special) for text in texts] == [
            own.encode(text, special=special) for text in texts
        ]
    assert list(plain.tokenizer.pieces()) == list(own.pieces())
    assert plain.tokenizer.control == own.control


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="flash_attention"):
        Loaded(engine_options={"flash_atention": "on"})
    with pytest.raises(ConfigError, match="ubatch"):
        Loaded(engine_options={"ubatch": 0})


def test_settings_are_taken() -> None:
    options = {"flash_attention": "off", "ubatch": 32, "load": "none", "repack": False, "threads_batch": 2}
    loaded = Loaded(engine_options=options)
    assert loaded.ask(QUESTIONS[0]).tokens == expected(loaded, QUESTIONS[0])


@pytest.mark.parametrize("length", [0, 3, 2000, 200_000])
def test_damaged_files_are_refused_without_a_path(tmp_path: Path, length: int) -> None:
    file = tmp_path / "damaged.gguf"
    file.write_bytes(TINY.read_bytes()[:length])
    with pytest.raises(ModelFileError) as caught:
        Loaded(file)
    assert str(tmp_path) not in str(caught.value)
    assert "llama.cpp" in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="missing"):
        Loaded(tmp_path / "none.gguf")
