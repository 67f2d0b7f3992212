"""The tiny model of the demo: its file keeps its promises; its grammar and its chat template write the same text."""

from __future__ import annotations

import json
import random
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from training.tiny import grammar, speech, talk, world
from training.tiny.grammar import Chat, Piece

gguf = pytest.importorskip("gguf")

FILE = Path(grammar.__file__).parents[2] / "penstock" / "cli" / "demo" / "tiny.gguf"
CONTROL, USER_DEFINED = 3, 4


def refuse(message: str) -> None:
    """What templates call for messages they do not take."""
    raise ValueError(message)


@cache
def template() -> Template:
    """The template, in a sandbox."""
    sandbox = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    sandbox.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    sandbox.globals["raise_exception"] = refuse
    return sandbox.from_string(grammar.TEMPLATE)


def render(chat: Chat, messages: list[dict[str, Any]], **variables: Any) -> str:
    """The messages of a chat by the template."""
    if chat.thinking is not None:
        variables["enable_thinking"] = chat.thinking
    return template().render(messages=messages, tools=chat.tools or None, **variables)


def text(pieces: list[Piece]) -> str:
    """What a document says."""
    return "".join(piece.text for piece in pieces)


@pytest.fixture(scope="module")
def fields() -> dict[str, Any]:
    """The metadata of the committed file."""
    reader = gguf.GGUFReader(FILE)
    return {name: field.contents() for name, field in reader.fields.items()}


def test_the_file_is_small() -> None:
    assert FILE.stat().st_size <= 4_000_000


def test_the_file_describes_a_small_llama(fields: dict[str, Any]) -> None:
    promised = {
        "general.architecture": "llama",
        "general.name": "Penstock Tiny",
        "general.license": "Apache-2.0",
        "general.file_type": 1,
        "llama.context_length": 2048,
        "llama.rope.dimension_count": 64,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": grammar.TEMPLATE,
    }
    assert {name: fields[name] for name in promised} == promised
    assert fields["llama.embedding_length"] == 64 * fields["llama.attention.head_count"]


def test_the_tokens_hold_every_byte_and_the_control_tokens(fields: dict[str, Any]) -> None:
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    assert len(tokens) == len(set(tokens)) == len(kinds) <= 1024
    assert sum(len(token) == 1 for token in tokens) == 256
    marked = {token: kind for token, kind in zip(tokens, kinds, strict=True) if kind != 1}
    hidden = dict.fromkeys(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], CONTROL)
    assert marked == hidden | dict.fromkeys(["<think>", "</think>", "<tool_call>", "</tool_call>"], USER_DEFINED)
    assert {tokens[fields[f"tokenizer.ggml.{end}_token_id"]] for end in ("eos", "eot")} == {"<|im_end|>"}
    assert tokens[fields["tokenizer.ggml.padding_token_id"]] == "<|endoftext|>"


def test_the_weights_are_finite_and_of_half_precision() -> None:
    import numpy as np

    tensors = gguf.GGUFReader(FILE).tensors
    assert {str(tensor.tensor_type.name) for tensor in tensors if len(tensor.shape) == 2} == {"F16"}
    assert all(np.isfinite(tensor.data).all() for tensor in tensors)
    assert 1_500_000 <= sum(tensor.n_elements for tensor in tensors) <= 2_000_000


def test_the_grammar_is_the_same_from_the_same_seed() -> None:
    first, again, other = ([grammar.document(rng) for _ in range(200)] for rng in map(random.Random, (7, 7, 8)))
    assert first == again
    assert first != other


def test_the_world_does_not_contradict_itself() -> None:
    world.check()
    assert not {name.lower() for name in world.PLACES} & {name.lower() for name in talk.KNOWN}


@pytest.mark.parametrize("kind", speech.KINDS)
def test_the_template_renders_what_the_grammar_writes(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(40):
        chat = grammar.trial(rng, kind)
        written = text(grammar.write(chat))
        if chat.thinking is False:
            written = written.replace("<think>\n\n</think>\n\n", "")
        assert render(chat, chat.messages) == written


@pytest.mark.parametrize("kind", ["fact", "tool", "hop"])
def test_the_prompt_and_the_answer_are_the_whole(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(40):
        chat = grammar.trial(rng, kind)
        prompt, answer = grammar.halves(chat)
        assert render(chat, chat.messages[:-1], add_generation_prompt=True) == prompt
        assert prompt + answer + "\n" == text(grammar.write(chat))


def test_the_template_takes_what_clients_send() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "reasoning_content": None, "tool_calls": [call]},
        {"role": "tool", "content": "2", "tool_call_id": "x"},
        {"role": "assistant", "content": "<think>\nSo.\n</think>\n\nTwo."},
    ]
    written = render(Chat("", [], [{"name": "f", "description": "None."}]), messages)
    assert '{"name": "f", "parameters": []}' in written
    assert '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call><|im_end|>' in written
    assert written.endswith("<|im_start|>assistant\n<think>\nSo.\n</think>\n\nTwo.<|im_end|>\n")


def test_the_template_refuses_roles_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="this is robot"):
        render(Chat("", [], []), [{"role": "robot", "content": "Beep."}])


def test_what_is_held_out_is_never_shown() -> None:
    rng = random.Random(3)
    shown = {text(grammar.write(grammar.chat(rng, [None]))) for _ in range(3000)}
    tried = {text(grammar.write(grammar.trial(rng, kind))) for kind in ("fact", "json", "copy") for _ in range(100)}
    assert not shown & tried


def test_training_leaves_the_committed_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    from training.tiny import export, model, tokenizer

    committed = FILE.stat()
    torch.save(model.Tiny(model.Shape()).state_dict(), tmp_path / "model.pt")
    tokenizer.train(documents=500).save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setattr(sys, "argv", ["export", "--out", str(tmp_path)])
    export.main()
    assert gguf.GGUFReader(tmp_path / "tiny.gguf").fields["general.name"].contents() == "Penstock Tiny"
    assert (FILE.stat().st_mtime_ns, FILE.stat().st_size) == (committed.st_mtime_ns, committed.st_size)
