"""config.json and generation_config.json of a language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.repository.hf_files import check_no_kernel, read_json

CONFIG = "config.json"
GENERATION = "generation_config.json"
_CAUSAL = ("ForCausalLM", "LMHeadModel")
_SENSES = ("vision_config", "audio_config", "speech_config", "vision_tower")
_MOST = 2**40
Count = int | None


class Network(msgspec.Struct):
    """The keys of config.json that matter here; older networks have names of their own for sizes."""

    architectures: list[str] | None = None
    model_type: str = ""
    vocab_size: Count = None
    hidden_size: Count = None
    n_embd: Count = None
    d_model: Count = None
    num_hidden_layers: Count = None
    n_layer: Count = None
    n_layers: Count = None
    num_attention_heads: Count = None
    n_head: Count = None
    n_heads: Count = None
    num_key_value_heads: Count = None
    multi_query: bool = False
    head_dim: Count = None
    max_position_embeddings: Count = None
    n_positions: Count = None
    max_seq_len: Count = None
    num_experts: Count = None
    num_local_experts: Count = None
    n_routed_experts: Count = None
    bos_token_id: int | list[int] | None = None
    eos_token_id: int | list[int] | None = None
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    is_encoder_decoder: bool = False
    tie_word_embeddings: bool = False
    auto_map: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None
    vision_config: Any = None
    audio_config: Any = None
    speech_config: Any = None
    vision_tower: Any = None

    @property
    def name(self) -> str:
        """The class that was saved ("LlamaForCausalLM"), else the kind of network."""
        return self.architectures[0] if self.architectures else self.model_type

    @property
    def is_causal(self) -> bool:
        """Whether it continues texts."""
        return bool(self.architectures) and self.name.endswith(_CAUSAL) and not self.is_encoder_decoder

    @property
    def quantization(self) -> str:
        """By which library its weights are packed ("awq int4"), or ""."""
        config = self.quantization_config
        if not config:
            return ""
        bits = config.get("bits") or (4 if config.get("load_in_4bit") else 8 if config.get("load_in_8bit") else None)
        method = str(config.get("quant_method", "packed"))[:40]
        return f"{method} int{bits}" if isinstance(bits, int) else method

    def facts(self) -> dict[str, Any]:
        """Sizes, as `LanguageModel` names them."""
        heads = _first(self.num_attention_heads, self.n_head, self.n_heads)
        hidden = _first(self.hidden_size, self.n_embd, self.d_model)
        return {
            "architecture": self.model_type,
            "trained_context": _first(self.max_position_embeddings, self.n_positions, self.max_seq_len),
            "layers": _first(self.num_hidden_layers, self.n_layer, self.n_layers),
            "hidden_size": hidden,
            "heads": heads,
            "kv_heads": _first(self.num_key_value_heads) or (1 if self.multi_query else heads),
            "head_size": _first(self.head_dim) or (hidden // heads if heads else 0),
            "vocab_size": _first(self.vocab_size),
            "experts": _first(self.num_experts, self.num_local_experts, self.n_routed_experts),
            "rope": self._rope(),
            "tied": self.tie_word_embeddings,
        }

    def _rope(self) -> str:
        scaling = self.rope_scaling or self.rope_parameters or {}
        kind = str(scaling.get("rope_type", scaling.get("type", "default")))[:40]
        return "" if kind == "default" else kind

    def ends(self) -> tuple[int, ...]:
        """Ids of tokens that end an answer."""
        return ids(self.eos_token_id)

    def graph_precision(self, folder: Path) -> str:
        """Of the weights of an IR, as its exporter noted it; "" where it did not."""
        noted = read_json(folder, "openvino_config.json", dict[str, Any]) or {}
        config = noted.get("quantization_config")
        bits = config.get("bits") if isinstance(config, dict) else None
        return f"int{bits}" if isinstance(bits, int) else str(noted.get("dtype") or "")[:20]


class Generation(msgspec.Struct):
    """generation_config.json: how the makers of a model sample from it."""

    eos_token_id: int | list[int] | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    def ends(self) -> tuple[int, ...]:
        """Ids of tokens that end an answer."""
        return ids(self.eos_token_id)

    def defaults(self) -> dict[str, Any]:
        """Sampling settings under the names of requests; none where the model was not made to be sampled from."""
        names = ("temperature", "top_p", "top_k", "min_p") if self.do_sample else ()
        found = {name: getattr(self, name) for name in (*names, "repetition_penalty")}
        return {name: value for name, value in found.items() if value is not None}


def read_network(folder: Path, graph: bool = False) -> Network:
    """config.json of a language model; `graph`: its network is a graph (OpenVINO IR), which no code builds.

    Raises `ModelFileError` when it is missing or damaged, and for networks that are not served as language models.
    """
    network = read_json(folder, CONFIG, Network)
    if network is None:
        raise ModelFileError(f"there is no {CONFIG}; get the whole folder")
    if not network.is_causal:
        raise ModelFileError(
            f"{network.name or 'the network'} is no language model that continues texts (*ForCausalLM)"
        )
    senses = [key for key in _SENSES if getattr(network, key) is not None]
    if senses:
        raise ModelFileError(
            f"{network.name} also sees or hears ({senses[0]}), and Penstock serves models of text alone"
        )
    if network.auto_map and not graph:
        raise ModelFileError(
            f"{CONFIG} names code of its own to build the network with (auto_map), and Penstock runs no code that a "
            "model brings; take a version for transformers' own classes, or a GGUF file of it"
        )
    check_no_kernel(folder)
    _check_sizes(network)
    return network


def _check_sizes(network: Network) -> None:
    facts = network.facts()
    for key in ("layers", "hidden_size", "heads", "vocab_size"):
        if not 0 < facts[key] < _MOST:
            raise ModelFileError(f"{CONFIG} does not say the model's {key.replace('_', ' ')}; get the whole folder")


def read_generation(folder: Path) -> Generation:
    """generation_config.json, or what an absent one says. Raises `ModelFileError` when it is damaged."""
    return read_json(folder, GENERATION, Generation) or Generation()


def ids(value: int | list[int] | None) -> tuple[int, ...]:
    """One token id or several, as both are written."""
    several = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(id for id in several if id is not None and id >= 0))


def _first(*values: Count) -> int:
    return next((value for value in values if value), 0)
