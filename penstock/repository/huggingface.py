"""A Hugging Face folder, described: what its model does and how, without running any code of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.text import Task, TextModel
from penstock.repository import architectures
from penstock.repository.architectures import Config
from penstock.repository.hf_files import inside, read_json
from penstock.repository.sentences import CROSS_ENCODER, MODULES, Sentences, read_sentences
from penstock.repository.text_options import overridden
from penstock.repository.vocabulary import check_tokenizer

CONFIG = "config.json"
DEFAULT_MAX_LENGTH = 512
# transformers writes 1e30 for "no limit".
_NO_LIMIT = 10**9
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Identity": "identity"}
_APPLIED = {"sigmoid": "sigmoid", "softmax": "softmax", "none": "identity"}


class _TokenizerConfig(msgspec.Struct):
    model_max_length: int | float | None = None


def is_huggingface(folder: Path) -> bool:
    """Whether a folder is laid out as transformers or sentence-transformers save models."""
    return any((folder / name).is_file() for name in (CONFIG, MODULES, "adapter_config.json"))


def home_of(folder: Path) -> Path:
    """Where a folder keeps its transformer: itself, or the part that older sentence-transformers put it in."""
    return folder / read_sentences(folder).home


def read_config(home: Path) -> Config:
    """config.json, as far as it matters. Raises `ModelFileError` when there is none, or a damaged one."""
    config = read_json(home, CONFIG, Config)
    if config is not None:
        return config
    if inside(home, "adapter_config.json"):
        raise ModelFileError("the folder holds an adapter (PEFT) alone; merge it into its model, and save that whole")
    raise ModelFileError(f"there is no {CONFIG}; get the whole folder")


def describe(folder: Path, given: Mapping[str, Any] | None = None) -> TextModel:
    """How to read, run and understand the text model in a folder; `given`: options of the person, which win.

    Raises `ModelFileError` that says what is missing, damaged or not served, `ConfigError` for wrong options.
    """
    given = given or {}
    sentences = read_sentences(folder)
    home = folder / sentences.home
    config = read_config(home)
    architectures.check_reads_text(config)
    longest = architectures.longest(config)
    found = _found(config, sentences, given)
    found["max_length"] = _max_length(home, config, sentences)
    model = overridden(found, given, longest)
    pooled = sentences.pooling is not None or "pooling" in given
    architectures.check_task(config, model.task, pooled)
    check_tokenizer(home, model.vocab_size)
    return model


def _found(config: Config, sentences: Sentences, given: Mapping[str, Any]) -> dict[str, Any]:
    pooled = sentences.pooling is not None
    task = given.get("task") or ("embedding" if pooled else architectures.task_of(config))
    found: dict[str, Any] = {
        "task": task,
        "architecture": config.model_type,
        "vocab_size": config.vocab_size,
        "padding": config.padding,
        "lower_case": sentences.lower_case,
        "prompt": sentences.prompt,
    }
    if task == "embedding":
        return {**found, "pooling": sentences.pooling or "mean", "normalize": sentences.normalize}
    if task in ("classification", "token-classification"):
        found["labels"] = architectures.labels_of(config)
    return {**found, "activation": given.get("activation") or _activation(config, sentences, task)}


def _activation(config: Config, sentences: Sentences, task: Task) -> str:
    """From logits to scores, as transformers' and sentence-transformers' own pipelines choose."""
    if config.function_to_apply in _APPLIED:
        return _APPLIED[config.function_to_apply]
    if task == "token-classification":
        return "softmax"
    chosen = _chosen(config, sentences)
    alone = len(architectures.labels_of(config)) == 1 if task in ("classification", "reranking") else False
    # CrossEncoder writes Identity for several labels because that is its default, not because somebody wants logits.
    if chosen and (alone or chosen != "identity"):
        return chosen
    if alone:
        return "identity" if config.problem_type == "regression" else "sigmoid"
    return "sigmoid" if config.problem_type == "multi_label_classification" else "softmax"


def _chosen(config: Config, sentences: Sentences) -> str:
    """What a CrossEncoder was saved with: in three places, by its version."""
    own = (config.sentence_transformers or {}).get("activation_fn")
    saved = sentences.activation if sentences.kind == CROSS_ENCODER else ""
    dotted = saved or own or config.sbert_ce_default_activation_function or ""
    name = str(dotted).rpartition(".")[2]
    if name and name not in _ACTIVATIONS:
        raise ModelFileError(
            f"the model's scores go through {str(dotted)[:80]}, which is not served; choose another: "
            "options: {activation: sigmoid}"
        )
    return _ACTIVATIONS.get(name, "")


def _max_length(home: Path, config: Config, sentences: Sentences) -> int:
    """Tokens at most, special ones included: what the files say first, and never more than there are positions."""
    tokenizer = read_json(home, "tokenizer_config.json", _TokenizerConfig) or _TokenizerConfig()
    longest = architectures.longest(config)
    said = [sentences.max_length, tokenizer.model_max_length, longest, config.max_position_embeddings]
    first = next((int(length) for length in said if length is not None and 0 < length < _NO_LIMIT), DEFAULT_MAX_LENGTH)
    return first if longest is None else min(first, longest)
