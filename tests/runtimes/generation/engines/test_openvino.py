"""What is OpenVINO GenAI's own: a prefix cache that must never lie, guessing ahead, IR folders, settings, bad files."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import BadInput, ConfigError, ModelFileError
from tests.runtimes.generation.engines.loaded import KINDS, SEQUENCES, Kind, load

OPENVINO = next(kind for kind in KINDS if kind.name == "openvino")
pytestmark = pytest.mark.skipif(bool(OPENVINO.absent), reason=OPENVINO.absent)
FOLDER = Kind("openvino", "openvino-llm", "ir-f16")
DRAW = random.Random(9)
LONG = [DRAW.randrange(3, 400) for _ in range(300)]


@pytest.fixture(scope="module")
def plain(tied: Path) -> list[int]:
    """The answer to the long prompt, from an engine that keeps nothing."""
    return load(OPENVINO, tied, prefix_cache=False).one(LONG)


@pytest.fixture(scope="module")
def ir(tied: Path) -> Path:
    """An IR folder of the same model, with its own tokenizer."""
    pytest.importorskip("openvino_tokenizers")
    from tests.runtimes.generation.engines.irs import export

    folder = tied / "ir-f16"
    return folder if folder.is_dir() else export(tied, "f16", folder)


@pytest.mark.parametrize("chunk", [40, 48, 64])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_prompt_given_up_half_way_leaves_nothing_false(tied: Path, plain: list[int], chunk: int, steps: int) -> None:
    """The library takes a block that was computed in part for a whole one; others' answers were wrong."""
    loaded = load(OPENVINO, tied, chunk=chunk)
    company = loaded.submit([7, 8, 9], max_tokens=30)
    loaded.step()
    gone = loaded.submit(LONG)
    for _ in range(steps):
        loaded.step()
    loaded.engine.cancel(gone)
    assert loaded.one(LONG) == plain
    assert len(loaded.tokens[company]) == 30


def test_prompts_that_begin_alike_and_come_together_are_right(tied: Path, plain: list[int]) -> None:
    loaded = load(OPENVINO, tied, chunk=40)
    ids = []
    for _ in range(SEQUENCES):
        ids.append(loaded.submit(LONG))
        loaded.step()
    loaded.finish()
    assert all(loaded.tokens[id] == plain for id in ids)


def test_cached_tokens_are_told_once(tied: Path) -> None:
    loaded = load(OPENVINO, tied)
    first, second = loaded.submit(LONG), 0
    loaded.finish()
    second = loaded.submit([*LONG[:200], 5, 6, 7])
    loaded.finish()
    assert loaded.cached[first] == 0
    assert loaded.cached[second] == 200 // 32 * 32
    stats = loaded.engine.stats()
    assert (stats.prefix_queries, stats.prefix_hits) == (300 + 203, 192)
    again = loaded.submit([*LONG, *loaded.tokens[first], 5])
    loaded.finish()
    assert loaded.cached[again] >= 300 // 32 * 32, "the next turn of a conversation finds the last one"


def test_without_a_prefix_cache_nothing_is_cached(tied: Path) -> None:
    loaded = load(OPENVINO, tied, prefix_cache=False)
    ids = [loaded.submit(LONG) for _ in range(2)]
    loaded.finish()
    loaded.one(LONG)
    assert {loaded.cached[id] for id in ids} == {0}
    stats = loaded.engine.stats()
    assert (stats.prefix_queries, stats.prefix_hits) == (0, 0), "nothing was looked for"


def test_a_small_cache_forgets_and_stays_right(tied: Path, plain: list[int]) -> None:
    loaded = load(OPENVINO, tied, sequences=1, context=320)
    for number in range(4):
        loaded.one([number + 5, *LONG[: 100 + 50 * number]])
        assert loaded.one(LONG) == plain


def test_a_long_prompt_lets_answers_go_on(tied: Path) -> None:
    loaded = load(OPENVINO, tied, chunk=32, context=1024)
    company = loaded.submit([7, 8, 9], max_tokens=40)
    loaded.step()
    loaded.submit(LONG * 3, max_tokens=1)
    before = len(loaded.tokens[company])
    for _ in range(10):
        loaded.step()
    assert len(loaded.tokens[company]) == before + 10


@pytest.mark.parametrize("cache", [True, False])
def test_prompt_lookup_guesses_and_changes_nothing(tied: Path, plain: list[int], cache: bool) -> None:
    loaded = load(OPENVINO, tied, speculative="prompt_lookup", prefix_cache=cache, chunk=64)
    assert loaded.one(LONG) == plain
    looping = [11, 12, 13, 14] * 20
    id = loaded.submit(looping, max_tokens=60)
    loaded.finish()
    assert loaded.tokens[id] == load(OPENVINO, tied).one(looping, max_tokens=60)
    assert 0 < loaded.accepted <= loaded.drafted
    drawn = {"temperature": 1.0, "seed": 4}
    assert loaded.one(LONG, **drawn) == load(OPENVINO, tied).one(LONG, **drawn)


def test_prompt_lookup_with_grammars_and_cancels(tied: Path) -> None:
    loaded, draw = load(OPENVINO, tied, speculative="prompt_lookup", chunk=64), random.Random(2)
    pieces = loaded.tokenizer.pieces()
    grammar = 'root ::= "[" ("ab" ","){3,9} "]"'
    for _ in range(30):
        id = loaded.submit(LONG[: draw.randrange(1, 300)], max_tokens=60)
        told = loaded.submit(LONG[:20], grammar, ignore_eos=False, max_tokens=80)
        for _ in range(draw.randrange(4)):
            loaded.step()
        loaded.engine.cancel(id)
        loaded.finish()
        text = b"".join(pieces[token] for token in loaded.tokens[told][:-1]).decode()
        assert re.fullmatch(r"\[(ab,){3,9}\]", text)


def test_a_draft_model_guesses_and_changes_nothing(tied: Path, ir: Path, plain: list[int]) -> None:
    loaded = load(OPENVINO, tied, speculative=str(ir), chunk=64)
    assert loaded.one(LONG) == plain
    assert loaded.accepted > loaded.drafted * 0.5, "the very same model guesses well"
    asked = [LONG[:length] for length in (1, 5, 33, 64, 100)]
    assert loaded.all(asked) == load(OPENVINO, tied).all(asked)
    assert loaded.accepted <= loaded.drafted


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("guesser", ["prompt_lookup", "draft"])
def test_guesses_in_company_change_nothing(tied: Path, ir: Path, guesser: str, cache: bool) -> None:
    """After prompts that it split by itself, the library gave the first token twice."""
    speculative = str(ir) if guesser == "draft" else guesser
    loaded = load(OPENVINO, tied, speculative=speculative, prefix_cache=cache, chunk=64)
    asked = [LONG[:length] for length in (1, 70, 5, 33, 300, 64, 100, 90)]
    wanted = load(OPENVINO, tied).all(asked)
    for _ in range(2):
        assert loaded.all(asked) == wanted


def test_an_ir_folder_is_read_with_its_own_tokenizer(tied: Path, ir: Path, plain: list[int]) -> None:
    loaded, gguf = load(FOLDER, tied), load(OPENVINO, tied)
    assert loaded.one(LONG) == plain
    text = "class Cat:\n    pass  # 猫 <|im_end|>"
    assert loaded.tokenizer.encode(text) == gguf.tokenizer.encode(text)
    assert list(loaded.tokenizer.pieces())[3:] == list(gguf.tokenizer.pieces())[3:]
    assert loaded.tokenizer.control == gguf.tokenizer.control


def test_a_damaged_ir_folder_is_refused_in_words(ir: Path, tmp_path: Path) -> None:
    shutil.copytree(ir, tmp_path / "ir")
    weights = tmp_path / "ir" / "openvino_model.bin"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="truncated"):
        load(Kind("openvino", "openvino-llm", "ir"), tmp_path)
    (tmp_path / "ir" / "openvino_model.xml").unlink()
    with pytest.raises(ModelFileError, match=r"openvino_model\.xml"):
        load(Kind("openvino", "openvino-llm", "ir"), tmp_path)


def test_a_model_without_an_end_token_generates(tied: Path, ir: Path) -> None:
    for kind in (OPENVINO, FOLDER):
        loaded = load(kind, tied, eos=())
        assert len(loaded.one(LONG[:40], ignore_eos=False, max_tokens=20, min_tokens=2)) == 20
        with pytest.raises(BadInput, match="end"):
            loaded.submit(LONG[:40], 'root ::= "a"', ignore_eos=False)


@pytest.mark.parametrize(
    "extreme",
    [
        {"temperature": 5.0, "top_k": 10**6},
        {"temperature": 1e-5},
        {"frequency_penalty": 2.0, "presence_penalty": -2.0, "repetition_penalty": 9.0},
        {"temperature": 1.0, "seed": 2**63 - 1},
        {"temperature": 1.0, "top_p": 1e-12, "min_p": 1.0, "top_k": 1},
    ],
)
def test_extremes_harm_nobody(tied: Path, extreme: dict[str, Any]) -> None:
    loaded = load(OPENVINO, tied)
    assert len(loaded.one(LONG[:40], **extreme)) == 12


@pytest.mark.parametrize(
    "options",
    [
        {"step": 5},
        {"step_ms": 0},
        {"inference": "int8"},
        {"scheduler": {"max_seqs": 4}},
        {"scheduler": {"max_num_seqs": "a"}},
    ],
)
def test_settings_that_there_are_not_are_refused(tied: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        load(OPENVINO, tied, engine_options=options)


def test_settings_of_the_library_are_passed_on(tied: Path, plain: list[int]) -> None:
    options = {"scheduler": {"use_cache_eviction": False}, "properties": {"ENABLE_HYPER_THREADING": False}}
    assert load(OPENVINO, tied, engine_options=options, kv_precision="f32").one(LONG) == plain


def test_files_that_cannot_be_read_are_refused_in_words(tied: Path, tmp_path: Path) -> None:
    whole = (tied / "f16.gguf").read_bytes()
    for name, data in {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not a model"}.items():
        (tmp_path / f"{name}.gguf").write_bytes(data)
        with pytest.raises(ModelFileError) as refused:
            load(Kind("openvino", "gguf", f"{name}.gguf"), tmp_path)
        assert str(tmp_path) not in refused.value.message
    with pytest.raises(ModelFileError):
        load(Kind("openvino", "gguf", "none.gguf"), tmp_path)
    with pytest.raises(ConfigError, match="IR folder"):
        load(OPENVINO, tied, speculative=str(tied / "q8_0.gguf"))


def test_random_company_of_every_kind(tied: Path) -> None:
    """Everything at once, many times: no step fails, nothing is left."""
    loaded, draw = load(OPENVINO, tied, chunk=64), random.Random(11)
    for number in range(120):
        drawn: dict[str, Any] = {"temperature": draw.choice([0.0, 0.7, 2.0]), "top_p": draw.choice([0.5, 1.0])}
        drawn |= {"repetition_penalty": draw.choice([1.0, 1.3]), "frequency_penalty": draw.choice([0.0, 1.0, -1.0])}
        drawn |= {"logprobs": draw.choice([None, 0]), "max_tokens": draw.randrange(1, 60)}
        grammar = draw.choice(["", "", 'root ::= "a" root | "b"'])
        begin = draw.randrange(280)
        id = loaded.submit(LONG[begin : begin + draw.randrange(1, 300)], grammar, ignore_eos=False, **drawn)
        for _ in range(draw.randrange(3)):
            loaded.step()
        if number % 3 == 0:
            loaded.engine.cancel(id)
    loaded.finish()
    assert loaded.engine.stats().running == 0
    assert "error" not in loaded.ended.values()
