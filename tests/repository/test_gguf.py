"""GGUF files described as language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.language import LanguageModel
from penstock.repository.gguf import describe
from penstock.repository.gguf_names import pick, quantization_of, with_parts
from penstock.repository.sources import name_of, resolve
from tests.repository import ggufs


def described(path: Path, tensors: ggufs.Tensors = ggufs.TENSORS, **changes: Any) -> LanguageModel:
    return describe(ggufs.write(path / "m.gguf", ggufs.settings(**changes), tensors))


def test_what_a_file_says(tmp_path: Path) -> None:
    model = described(tmp_path, llama__rope__freq_base=10000.0)
    assert (model.architecture, model.trained_context, model.layers, model.hidden_size) == ("llama", 64, 2, 32)
    assert (model.heads, model.kv_heads, model.head_size, model.vocab_size) == (4, 2, 8, len(ggufs.WORDS))
    assert (model.bos, model.add_bos, model.eos) == (1, False, (2, 0))
    assert (model.quantization, model.rope, model.experts, model.parts, model.tied) == ("Q8_0", "", 0, 1, True)
    assert model.parameters == 32 * len(ggufs.WORDS) + 32 + 32 * 32
    assert model.weights_bytes == (model.parameters - 32) // 32 * 34 + 32 * 4
    assert (model.chat_template, model.license, model.title) == ("{{ messages }}", "mit", "Small")
    assert model.kv_bytes_per_token() == 2 * 2 * 2 * 8 * 2


def test_sizes_that_are_said_otherwise(tmp_path: Path) -> None:
    model = described(tmp_path, llama__attention__key_length=16, llama__attention__value_length=8)
    assert model.head_size == 12, "of a key and a value, on the mean"
    model = described(tmp_path, llama__attention__head_count_kv=[2, 0])
    assert model.kv_heads == 1, "layers may differ"
    assert described(tmp_path, llama__attention__head_count_kv=None).kv_heads == 4
    assert described(tmp_path, llama__expert_count=8).experts == 8
    assert described(tmp_path, llama__rope__scaling__type="yarn").rope == "yarn"
    assert described(tmp_path, [*ggufs.TENSORS, ("rope_freqs.weight", (4,), ggufs.F32)]).rope == "llama3"
    assert not described(tmp_path, [*ggufs.TENSORS, ("output.weight", (32, 11), ggufs.Q8_0)]).tied


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({}, False),
        ({"tokenizer__ggml__add_bos_token": True}, True),
        ({"tokenizer__ggml__model": "llama"}, True),
        ({"tokenizer__ggml__pre": "llama-bpe"}, True),
        ({"tokenizer__ggml__model": "llama", "tokenizer__ggml__add_bos_token": False}, False),
        ({"tokenizer__ggml__model": "llama", "tokenizer__ggml__bos_token_id": None}, False),
    ],
)
def test_whether_a_text_begins_with_a_token_of_its_own(tmp_path: Path, changes: dict[str, Any], begins: bool) -> None:
    assert described(tmp_path, **changes).add_bos is begins


def test_every_token_that_ends_an_answer(tmp_path: Path) -> None:
    ids = {"tokenizer__ggml__eos_token_id": 0, "tokenizer__ggml__eot_token_id": 2, "tokenizer__ggml__eom_token_id": 1}
    assert described(tmp_path, **ids).eos == (0, 2, 1)
    wrong = {"tokenizer__ggml__eos_token_id": 999, "tokenizer__ggml__token_type": None}
    assert described(tmp_path, **wrong).eos == (), "an id beyond the vocabulary ends nothing"


@pytest.mark.parametrize(
    ("file_type", "kinds", "expected"),
    [
        (2, [ggufs.Q4_0, ggufs.Q6_K], "Q4_0"),
        (15, [ggufs.Q4_K, ggufs.Q6_K], "Q4_K_M"),
        (15, [ggufs.Q4_K, ggufs.Q4_K, ggufs.Q5_K], "Q4_K_M, Q5_K"),
        (17, [ggufs.Q5_K, ggufs.Q6_K], "Q5_K_M"),
        (2, [ggufs.Q8_0], "Q8_0"),
        (None, [ggufs.F16], "F16"),
        (9999, [ggufs.F16], "F16"),
        ([1, 2], [ggufs.F16], "F16"),
    ],
)
def test_quantization_is_what_the_tensors_are(tmp_path: Path, file_type: Any, kinds: list[int], expected: str) -> None:
    tensors = [(f"blk.{number}.w.weight", (256, 256), kind) for number, kind in enumerate(kinds)]
    assert described(tmp_path, tensors, general__file_type=file_type).quantization == expected


def test_what_its_makers_recommend(tmp_path: Path) -> None:
    given = {"general__sampling__temp": 0.5, "general__sampling__top_k": 20}
    assert described(tmp_path, **given).defaults == {"temperature": 0.5, "top_k": 20}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("top_p", "much", "defaults.top_p takes a number from 0 to 1, not much"),
        ("temp", 2.5, "defaults.temperature takes a number from 0 to 2, not 2.5"),
        ("temp", float("nan"), "not nan"),
        ("penalty_repeat", 0.0, "over 0 and at most 10"),
        ("top_k", 0.5, "a whole number"),
    ],
)
def test_a_recommendation_that_cannot_be(tmp_path: Path, key: str, value: Any, reason: str) -> None:
    changes = {f"general__sampling__{key}": value}
    path = str(ggufs.write(tmp_path / "m.gguf", ggufs.settings(**changes)))
    with pytest.raises(ModelFileError, match=reason):
        resolve(path)
    spec = resolve(path, options={"defaults": {"top_k": 5}})
    assert spec.options["defaults"] == {"top_k": 5}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"general__architecture": None}, "does not say its architecture"),
        ({"general__architecture": "bert"}, "is an embedding model"),
        ({"general__architecture": "clip"}, "is the eyes of a model"),
        ({"general__type": "adapter"}, "is a LoRA adapter, which is served with a model"),
        ({"general__type": "mmproj"}, "eyes or ears"),
        ({"llama__context_length": None}, "does not say its trained context"),
        ({"llama__block_count": "many"}, "does not say its layers"),
        ({"llama__embedding_length": -1.5}, "does not say its hidden size"),
        ({"tokenizer__ggml__tokens": None}, "has no vocabulary"),
    ],
)
def test_what_is_no_language_model(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        described(tmp_path, **changes)


# --- as a source


def test_a_file_as_a_source(tmp_path: Path) -> None:
    path = ggufs.write(tmp_path / "Small-Q8_0.gguf")
    spec = resolve(str(path), options={"context": 32, "sequences": 2})
    assert (spec.name, spec.runtime, spec.format, spec.path) == ("Small-Q8_0", "llm", "gguf", str(path))
    model = msgspec.convert(spec.options, LanguageModel)
    assert (model.context, model.sequences, model.trained_context) == (32, 2, 64)
    assert name_of(str(path)) == "Small-Q8_0"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"contxt": 5}, "no option 'contxt'; did you mean 'context'"),
        ({"layers": 5}, "no option 'layers'; its files say that"),
        ({"context": "long"}, "an option of a language model is wrong"),
        ({"context": -1}, "context takes 0 to"),
        ({"context": 65}, "trained on 64 tokens"),
        ({"sequences": 0}, "sequences takes 1 to"),
        ({"chunk": 1}, "chunk takes 16 to"),
        ({"defaults": {"temprature": 1}}, "defaults has no 'temprature'; it takes: temperature, top_p"),
        ({"defaults": {"temperature": 3}}, "defaults.temperature takes a number from 0 to 2, not 3"),
        ({"defaults": {"top_k": "all"}}, "defaults.top_k takes a whole number"),
        ({"defaults": 5}, "an option of a language model is wrong"),
        ({"engine": "magic"}, "an option of a language model is wrong"),
        ({"kv_precision": "u4"}, "an option of a language model is wrong"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        resolve(str(ggufs.write(tmp_path / "m.gguf")), options=options)


def test_a_file_in_parts(tmp_path: Path) -> None:
    first = ggufs.write(tmp_path / "m-00001-of-00002.gguf", tensors=ggufs.TENSORS[:2])
    with pytest.raises(ModelFileError, match=r"m-00002-of-00002\.gguf is missing"):
        resolve(str(first))
    second = ggufs.write(tmp_path / "m-00002-of-00002.gguf", {"split.no": 1}, ggufs.TENSORS[2:])
    for named in (first, second, tmp_path):
        spec = resolve(str(named))
        assert spec.path == str(first)
        assert (spec.options["parts"], spec.options["parameters"]) == (2, 32 * len(ggufs.WORDS) + 32 + 32 * 32)
    second.write_bytes(second.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match=r"m-00002-of-00002\.gguf is truncated"):
        resolve(str(first))


def test_a_name_that_claims_something_else(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="its name claims an ONNX model"):
        resolve(str(ggufs.write(tmp_path / "m.onnx")))
    (tmp_path / "m.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(ModelFileError, match="zip"):
        resolve(str(tmp_path / "m.gguf"))


def test_a_folder_of_several_files(tmp_path: Path) -> None:
    for name in ("m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf"):
        ggufs.write(tmp_path / name)
    assert Path(resolve(str(tmp_path)).path).name == "m-Q4_K_M.gguf"


# --- names


def test_a_thousand_parts_and_no_more() -> None:
    names = {f"m-{number:05d}-of-01000.gguf": 1 for number in range(1, 1001)}
    for picked in (pick(names), with_parts("m-00007-of-01000.gguf", names)):
        assert picked.file == "m-00001-of-01000.gguf"
        assert len(picked.others) == 999
    del names["m-01000-of-01000.gguf"]
    with pytest.raises(ModelFileError, match=r"one of 1000 parts, and m-01000-of-01000\.gguf is missing"):
        pick(names)


@pytest.mark.parametrize("name", ["m-00001-of-01001.gguf", "m-00003-of-00002.gguf", "m-00000-of-00000.gguf"])
def test_parts_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="models have 1 to 1,000 parts"):
        with_parts(name, {name: 1})
    with pytest.raises(ModelFileError, match="models have 1 to 1,000 parts"):
        resolve(str(ggufs.write(tmp_path / name)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Qwen2.5-0.5B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-0.5b-instruct-q4_0.gguf", "Q4_0"),
        ("model-IQ2_XXS.gguf", "IQ2_XXS"),
        ("model.Q8_0.gguf", "Q8_0"),
        ("m-F16.gguf", "F16"),
        ("m-fp16.gguf", "F16"),
        ("m-bf16.gguf", "BF16"),
        ("m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("q8/gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("m-Q5_K_S-00001-of-00002.gguf", "Q5_K_S"),
        ("m.gguf", ""),
    ],
)
def test_the_quantization_that_a_name_claims(name: str, expected: str) -> None:
    assert quantization_of(name) == expected


def test_which_of_several() -> None:
    assert pick({"a.gguf": 5}).file == "a.gguf"
    assert pick({"a-Q2_K.gguf": 1, "a-Q6_K.gguf": 6, "a-Q5_0.gguf": 5}).file == "a-Q5_0.gguf"
    with pytest.raises(ModelFileError, match="not clear which GGUF file to serve: Q2_K, Q3_K_M"):
        pick({"a-Q2_K.gguf": 1, "a-Q3_K_M.gguf": 2})
    with pytest.raises(ModelFileError, match=r"several GGUF files are in Q8_0: a-Q8_0\.gguf, b-Q8_0\.gguf"):
        pick({"a-Q8_0.gguf": 1, "b-Q8_0.gguf": 2}, "q8_0")


def test_what_goes_with_a_model_is_none() -> None:
    with pytest.raises(ModelFileError, match=r"no language model among the GGUF files: mmproj-m-f16\.gguf only goes"):
        pick({"mmproj-m-f16.gguf": 1, "README.md": 2})
    with pytest.raises(ModelFileError, match="no language model among the GGUF files: there are none"):
        pick({"README.md": 2}, "Q8_0")
