"""Hugging Face folders of small networks, as transformers itself saves them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.core.model import ModelSpec
from penstock.core.text import Task
from penstock.repository import sources
from tests.runtimes.text import tiny


def save(folder: Path, module: Any, tokenizer: Any, labels: Sequence[str] = ()) -> Path:
    """A folder with config.json, model.safetensors and tokenizer.json."""
    if labels:
        module.config.id2label = dict(enumerate(labels))
        module.config.label2id = {label: index for index, label in enumerate(labels)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def random(folder: Path, family: str, task: Task) -> tuple[Path, Any]:
    """A random network of two layers in a folder, and the network."""
    tokenizer = tiny.byte_bpe() if tiny.in_bytes(family) else tiny.wordpiece()
    module = tiny.network(family, task, tokenizer.get_vocab_size())
    return save(folder, module, tokenizer, tiny.LABELS.get(task, ("score",) if task == "reranking" else ())), module


def spec(folder: Path, **settings: Any) -> ModelSpec:
    """A folder described, with its runtime."""
    return sources.resolve(str(folder), **settings)
