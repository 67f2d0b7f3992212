"""What a language model is: the description that its files give, and its runtime obeys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from penstock.core.ranges import Repetition, Share, Temperature, TopK

GENERATION = "generation"
EngineName = Literal["auto", "openvino", "llamacpp", "vllm", "transformers"]

_RECOMMENDED: dict[str, tuple[Any, str]] = {
    "temperature": (Temperature, "a number from 0 to 2"),
    "top_p": (Share, "a number from 0 to 1"),
    "top_k": (TopK, "a whole number from 0 (all tokens) to 1000000"),
    "min_p": (Share, "a number from 0 to 1"),
    "repetition_penalty": (Repetition, "a number over 0 and at most 10"),
}
"""What a model may recommend, as a request may ask for it."""


class LanguageModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to read, run and understand one language model. Travels as the options of its `ModelSpec`.

    What the files say: `architecture` ("llama"), `parameters`, `weights_bytes`, `trained_context` (tokens),
    `layers`, `hidden_size`, `heads`, `kv_heads`, `head_size`, `vocab_size`, `bos`, `add_bos`, `eos` (ids that end
    an answer), `quantization` ("Q4_0", "F16", "bf16"; "Q4_K_M, Q5_0" where tensors are of kinds that its name does
    not say), `rope` (how positions are scaled: "yarn", "linear", "llama3"; "" for not at all), `experts` (of a
    mixture; 0 for none), `tied` (one table of embeddings serves at both ends), `parts` (files that hold the
    weights), `chat_template` (Jinja; "" for none), `defaults` (sampling settings that the model recommends),
    `license`, `title`, `tokenizer` (its file, where it is not inside the model file). `tool_format`, `reasoning`:
    how its answers mark tool calls and thoughts; auto: by the template.

    What a person sets: `engine`, and `reason`, why it was chosen; `context` (tokens of prompt and answer together; 0:
    what the model was trained on, as far as memory allows); `sequences` (answers generated at once); `kv_precision`;
    `prefix_cache`; `chunk` (tokens of prompts computed per step, so that answers under way go on); `speculative`:
    "prompt_lookup", or the path of a draft model; `draft_tokens` guessed at once; `adapters`: LoRA adapters by name
    → path of their safetensors; `engine_options`: settings passed to the engine by its own names; `memory_check`:
    whether a model is refused that, by estimate, does not fit into the memory that is free.
    """

    architecture: str = ""
    parameters: int = 0
    weights_bytes: int = 0
    trained_context: int = 0
    layers: int = 0
    hidden_size: int = 0
    heads: int = 0
    kv_heads: int = 0
    head_size: int = 0
    vocab_size: int = 0
    bos: int | None = None
    add_bos: bool = False
    eos: tuple[int, ...] = ()
    quantization: str = ""
    rope: str = ""
    experts: int = 0
    tied: bool = False
    parts: int = 1
    chat_template: str = ""
    tokenizer: str = ""
    defaults: dict[str, Any] = {}
    license: str = ""
    title: str = ""
    tool_format: Literal["auto", "hermes", "llama3", "mistral", "none"] = "auto"
    reasoning: Literal["auto", "think", "none"] = "auto"
    engine: EngineName = "auto"
    reason: str = ""
    context: int = 0
    sequences: int = 16
    kv_precision: Literal["auto", "f32", "f16", "bf16", "u8"] = "auto"
    prefix_cache: bool = True
    chunk: int = 512
    speculative: str = ""
    draft_tokens: int = 5
    adapters: dict[str, str] = {}
    engine_options: dict[str, Any] = {}
    memory_check: bool = True

    def kv_bytes_per_token(self) -> int:
        """Memory that one token takes in the key-value cache, in bytes (2 tensors per layer)."""
        each = {"f32": 4, "u8": 1}.get(self.kv_precision, 2)
        return 2 * self.layers * self.kv_heads * self.head_size * each


def wrong_default(defaults: Mapping[str, Any]) -> str:
    """What is wrong with recommended sampling settings, in words; "" when nothing is."""
    for name, value in defaults.items():
        if name not in _RECOMMENDED:
            return f"defaults has no {name[:40]!r}; it takes: {', '.join(_RECOMMENDED)}"
        kind, takes = _RECOMMENDED[name]
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return f"defaults.{name} takes {takes}, not {str(value)[:40]}"
    return ""
