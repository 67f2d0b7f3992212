"""Hugging Face folders and OpenVINO IR folders of language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.language import LanguageModel
from penstock.repository.sources import resolve
from tests.repository.folders import ir, put, safetensors

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "eos_token_id": 2, "bos_token_id": 1, "tie_word_embeddings": True,
}  # fmt: skip
TOKENIZER = {"model": {"vocab": {"a": 0, "b": 39}}, "added_tokens": []}
BEGINS = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}


def folder(home: Path, config: dict[str, Any] | None = None, **more: Any) -> Path:
    files = {"config.json": CONFIG | (config or {}), "tokenizer.json": TOKENIZER}
    for name, data in (files | {"model.safetensors": safetensors()} | more).items():
        if data is not None:
            put(home / name, data)
    return home


def model_of(home: Path, **options: Any) -> LanguageModel:
    return msgspec.convert(resolve(str(home), options=options).options, LanguageModel)


def test_what_a_folder_says(tmp_path: Path) -> None:
    home = folder(tmp_path / "chat")
    spec = resolve(str(home))
    assert (spec.name, spec.runtime, spec.format, spec.path) == ("chat", "llm", "causal-lm", str(home))
    model = msgspec.convert(spec.options, LanguageModel)
    assert (model.architecture, model.trained_context, model.layers, model.hidden_size) == ("llama", 64, 2, 32)
    assert (model.heads, model.kv_heads, model.head_size, model.vocab_size) == (4, 2, 8, 40)
    assert (model.bos, model.add_bos, model.eos, model.tied) == (1, False, (2,), True)
    assert model.quantization == "F32"
    assert model.parameters == model.weights_bytes // 4
    assert model.tokenizer == str(home / "tokenizer.json")


def test_what_its_makers_recommend(tmp_path: Path) -> None:
    said = {"eos_token_id": [2, 5], "do_sample": True, "temperature": 0.7, "top_k": 20, "repetition_penalty": 1.1}
    model = model_of(folder(tmp_path / "a", **{"generation_config.json": said}))
    assert model.eos == (2, 5)
    assert model.defaults == {"temperature": 0.7, "top_k": 20, "repetition_penalty": 1.1}
    greedy = {**said, "do_sample": False}
    assert model_of(folder(tmp_path / "b", **{"generation_config.json": greedy})).defaults == {
        "repetition_penalty": 1.1
    }


def test_a_recommendation_that_cannot_be(tmp_path: Path) -> None:
    for number, wrong in enumerate(({"repetition_penalty": 20}, {"do_sample": True, "top_p": 1.5})):
        with pytest.raises(ModelFileError, match="recommend a sampling setting that cannot be"):
            model_of(folder(tmp_path / str(number), **{"generation_config.json": wrong}))
    with pytest.raises(ModelFileError, match="generation_config"):
        model_of(folder(tmp_path / "text", **{"generation_config.json": {"top_k": "many"}}))


def test_whether_a_text_begins_with_a_token_of_its_own(tmp_path: Path) -> None:
    begins = {**TOKENIZER, "post_processor": BEGINS}
    several = {**TOKENIZER, "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"}, BEGINS]}}
    assert model_of(folder(tmp_path / "a", **{"tokenizer.json": begins})).add_bos
    assert model_of(folder(tmp_path / "b", **{"tokenizer.json": several})).add_bos
    said = {"tokenizer.json": begins, "tokenizer_config.json": {"add_bos_token": False}}
    assert not model_of(folder(tmp_path / "c", **said)).add_bos


def test_where_the_chat_template_is(tmp_path: Path) -> None:
    inside = {"tokenizer_config.json": {"chat_template": "in"}}
    several = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    assert model_of(folder(tmp_path / "a", **inside)).chat_template == "in"
    assert model_of(folder(tmp_path / "b", **inside, **{"chat_template.jinja": b"own"})).chat_template == "own"
    assert model_of(folder(tmp_path / "c", **{"chat_template.json": {"chat_template": "card"}})).chat_template == "card"
    assert (
        model_of(folder(tmp_path / "d", **{"tokenizer_config.json": {"chat_template": several}})).chat_template
        == "plain"
    )
    assert model_of(folder(tmp_path / "e")).chat_template == ""
    assert model_of(tmp_path / "e", chat_template="mine").chat_template == "mine"


def test_older_networks_have_names_of_their_own(tmp_path: Path) -> None:
    old = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 40, "n_embd": 32, "n_layer": 3,
        "n_head": 4, "n_positions": 48,
    }  # fmt: skip
    home = folder(tmp_path / "old", **{"config.json": old})
    model = model_of(home)
    assert (model.layers, model.hidden_size, model.kv_heads, model.trained_context) == (3, 32, 4, 48)


def test_packed_weights(tmp_path: Path) -> None:
    model = model_of(folder(tmp_path / "m", {"quantization_config": {"quant_method": "awq", "bits": 4}}))
    assert (model.quantization, model.parameters) == ("awq int4", 0)


def test_an_ir_folder(tmp_path: Path) -> None:
    names = ("openvino_model", "openvino_tokenizer", "openvino_detokenizer")
    files = {f"{name}.xml": ir(8) for name in names} | {f"{name}.bin": bytes(8) for name in names}
    noted = {"openvino_config.json": {"quantization_config": {"bits": 4}}}
    home = folder(tmp_path / "m", **files, **noted, **{"tokenizer.json": None, "model.safetensors": None})
    spec = resolve(str(home))
    assert (spec.runtime, spec.format, spec.path) == ("llm", "openvino-llm", str(home))
    assert (spec.options["quantization"], spec.options["weights_bytes"]) == ("int4", 8)
    put(home / "config.json", CONFIG | {"auto_map": {"AutoModelForCausalLM": "m.Own"}})
    assert resolve(str(home)).format == "openvino-llm", "no code builds the network of a graph"
    (home / "openvino_detokenizer.xml").unlink()
    with pytest.raises(ModelFileError, match=r"no openvino_detokenizer\.xml; export it again"):
        resolve(str(home))


@pytest.mark.parametrize(
    ("config", "more", "reason"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "m.Evil"}}, {}, "auto_map.*runs no code"),
        ({"_attn_implementation": "org/kernel"}, {}, "names a kernel"),
        ({"vision_config": {}}, {}, "sees or hears"),
        ({"hidden_size": None}, {}, "does not say the model's hidden size"),
        ({"num_hidden_layers": -3}, {}, "does not say the model's layers"),
        ({}, {"tokenizer.json": None}, "no tokenizer.json"),
        ({}, {"tokenizer.json": b"{"}, "tokenizer.json is damaged"),
        ({}, {"model.safetensors": safetensors()[:-3]}, "truncated"),
        ({}, {"model.safetensors": None}, "no weights of a language model"),
        ({}, {"model.safetensors": None, "pytorch_model.bin": b"x"}, r"there is pytorch_model\.bin"),
        ({}, {"chat_template.jinja": b"\xff"}, "is no text"),
        ({}, {"generation_config.json": {"eos_token_id": "end"}}, "generation_config.json is damaged"),
    ],
)
def test_what_is_refused(tmp_path: Path, config: dict[str, Any], more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        resolve(str(folder(tmp_path / "m", config, **more)))


def test_a_language_model_may_be_asked_for_its_embeddings(tmp_path: Path) -> None:
    home = folder(tmp_path / "m")
    spec = resolve(str(home), options={"task": "embedding", "pooling": "last"})
    assert (spec.runtime, spec.format) == ("text", "safetensors")
    with pytest.raises(ModelFileError, match="BertModel is no language model"):
        resolve(str(folder(tmp_path / "b", {"architectures": ["BertModel"]})), runtime="llm")


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'sequences'"):
        model_of(folder(tmp_path / "m"), sequence=3)
