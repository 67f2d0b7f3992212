"""A language model in a GGUF file, or in several, described by its metadata and its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.core.gguf import Gguf, Tensor, read
from penstock.core.language import LanguageModel
from penstock.repository.gguf_names import parts_of
from penstock.repository.gguf_words import ENDINGS, FILE_TYPES, MEMBERS, NOT_LANGUAGE, NOT_MODELS, SAMPLING

_CONTROL = 3
_ENOUGH = 0.2


class Facts:
    """The metadata of a file by the names that an architecture gives them. Values of a wrong kind count as absent."""

    def __init__(self, metadata: Mapping[str, Any]):
        self._metadata = metadata
        self.architecture = self.text("general.architecture")

    def text(self, key: str) -> str:
        """A text, or ""."""
        value = self._metadata.get(key)
        return value if isinstance(value, str) else ""

    def count(self, key: str, least: int = 0) -> int:
        """A number of things of this architecture ("block_count"); 0 when it says none. For a list, one per layer,
        the mean, rounded up."""
        value = self._metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, list) and value and all(type(each) is int for each in value):
            value = -(-sum(value) // len(value))
        return value if type(value) is int and least <= value < 2**48 else 0

    def token(self, key: str) -> int | None:
        """A token id, or None."""
        value = self._metadata.get(f"tokenizer.ggml.{key}")
        return value if type(value) is int and 0 <= value < 2**31 else None

    def flag(self, key: str) -> bool | None:
        """True, False, or None when it is not said."""
        value = self._metadata.get(key)
        return value if isinstance(value, bool) else None

    def said(self, key: str) -> Any:
        """Whatever it is; None when it is not said."""
        return self._metadata.get(key)


def describe(path: Path) -> LanguageModel:
    """The language model in a GGUF file (the first one, of several).

    Raises `ModelFileError` for what is damaged, incomplete, or no language model.
    """
    files = parts(path)
    first = read(files[0])
    tensors = [tensor for file in files for tensor in (first if file is files[0] else read(file)).tensors]
    facts = Facts(first.metadata)
    _check_language(facts, path.name)
    return LanguageModel(
        **_network(facts, path.name),
        **_tokens(first, facts),
        parameters=sum(tensor.elements for tensor in tensors),
        weights_bytes=sum(tensor.size for tensor in tensors),
        quantization=_quantization(first, tensors),
        rope=_rope(facts, tensors),
        tied=not any(tensor.name == "output.weight" for tensor in tensors),
        parts=len(files),
        chat_template=facts.text("tokenizer.chat_template"),
        defaults=_defaults(facts),
        license=facts.text("general.license")[:200],
        title=(facts.text("general.name") or facts.text("general.basename"))[:200],
    )


def parts(path: Path) -> list[Path]:
    """The files of a model, in order: itself, or NAME-00001-of-0000N.gguf and the others beside it.

    Raises `ModelFileError` when one is missing.
    """
    files = [path.with_name(name) for name in parts_of(path.name)]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None and len(files) > 1:
        raise ModelFileError(f"{path.name} is one of {len(files)} parts, and {missing.name} is missing; get them all")
    return files


def _check_language(facts: Facts, name: str) -> None:
    kind = facts.text("general.type")
    if kind in NOT_MODELS:
        raise ModelFileError(f"{name} is {NOT_MODELS[kind]}, which is served with a model, not as one")
    if not facts.architecture:
        raise ModelFileError(f"{name} does not say its architecture (general.architecture); convert it again")
    title = NOT_LANGUAGE.get(facts.architecture)
    if title is not None:
        raise ModelFileError(f"{name} is {title} ({facts.architecture}), and GGUF files are served as language models")


def _network(facts: Facts, name: str) -> dict[str, Any]:
    heads, hidden = facts.count("attention.head_count"), facts.count("embedding_length")
    found = {
        "architecture": facts.architecture,
        "trained_context": facts.count("context_length"),
        "layers": facts.count("block_count"),
        "hidden_size": hidden,
        "heads": heads,
        "kv_heads": facts.count("attention.head_count_kv") or heads,
        "head_size": _head_size(facts, heads, hidden),
        "experts": facts.count("expert_count"),
    }
    absent = [key for key in ("trained_context", "layers", "hidden_size") if not found[key]]
    if absent:
        raise ModelFileError(f"{name} is damaged: it does not say its {absent[0].replace('_', ' ')}; get it again")
    return found


def _head_size(facts: Facts, heads: int, hidden: int) -> int:
    """Of a key and a value, on the mean: that is what the key-value cache holds."""
    key = facts.count("attention.key_length") or (hidden // heads if heads else 0)
    value = facts.count("attention.value_length") or key
    return -(-(key + value) // 2)


def _tokens(file: Gguf, facts: Facts) -> dict[str, Any]:
    tokens = file.array("tokenizer.ggml.tokens")
    if not tokens:
        raise ModelFileError(
            f"{file.path.name} has no vocabulary (tokenizer.ggml.tokens); convert it with its tokenizer"
        )
    bos = facts.token("bos_token_id")
    named = [facts.token(f"{key}_token_id") for key in ("eos", "eot", "eom")]
    kinds = file.array("tokenizer.ggml.token_type")
    known = [id for id, token in enumerate(tokens) if token in ENDINGS and id < len(kinds) and kinds[id] == _CONTROL]
    ends = dict.fromkeys(id for id in (*named, *known) if id is not None and id < len(tokens))
    return {"vocab_size": len(tokens), "bos": bos, "add_bos": _adds_bos(facts, bos), "eos": tuple(ends)}


def _adds_bos(facts: Facts, bos: int | None) -> bool:
    """What the file says, else what its kind of tokenizer does."""
    said = facts.flag("tokenizer.ggml.add_bos_token")
    usual = facts.text("tokenizer.ggml.model") == "llama" or facts.text("tokenizer.ggml.pre") == "llama-bpe"
    return bos is not None and (usual if said is None else said)


def _quantization(file: Gguf, tensors: Sequence[Tensor]) -> str:
    """The file's own word for it, unless its tensors belie it; and kinds of tensors that the word does not cover."""
    sizes: dict[str, int] = {}
    for tensor in tensors:
        if len(tensor.shape) > 1:
            sizes[tensor.kind] = sizes.get(tensor.kind, 0) + tensor.elements
    most = max(sizes, key=lambda kind: sizes[kind], default="F32")
    word = file.metadata.get("general.file_type")
    said = FILE_TYPES.get(word, most) if isinstance(word, int) else most
    own = sum(count for kind, count in sizes.items() if kind in MEMBERS.get(said, {said}))
    # The table of embeddings, which is in more bits, may be most of a small model.
    named = said if own >= _ENOUGH * sum(sizes.values()) else most
    others = sorted(set(sizes) - MEMBERS.get(named, {named}) - {"F32", "F16", "Q8_0", "Q6_K"})
    return ", ".join([named, *others])


def _rope(facts: Facts, tensors: Sequence[Tensor]) -> str:
    kind = facts.text(f"{facts.architecture}.rope.scaling.type")[:40]
    if kind and kind != "none":
        return kind
    return "llama3" if any(tensor.name.startswith("rope_f") for tensor in tensors) else ""


def _defaults(facts: Facts) -> dict[str, Any]:
    """Sampling settings that the file recommends, under the names of requests; they may be wrong."""
    found = {name: facts.said(f"general.sampling.{key}") for key, name in SAMPLING.items()}
    return {name: value for name, value in found.items() if value is not None}
