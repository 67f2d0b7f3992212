"""Tiny Hugging Face folders, written without torch: a BERT of two layers with random weights, always the same ones."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 32
LAYERS = 2
MAX_TOKENS = 64
_WORDS = "a the red blue running shoes kettle tea in for women men kitchen garden lamp book water proof"
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_CHARACTERS = string.printable[:94]
VOCABULARY = list(dict.fromkeys([*_SPECIAL, *_WORDS.split(" "), *_CHARACTERS, *("##" + c for c in _CHARACTERS)]))


def embedder(folder: Path) -> Path:
    """A sentence-transformers folder: mean pooling, normalized."""
    _bert(folder, "BertModel", prefix="")
    kinds = {"0_Transformer": "", "1_Pooling": "1_Pooling", "2_Normalize": "2_Normalize"}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{name[2:]}"}
        for index, (name, path) in enumerate(kinds.items())
    ]
    _json(folder / "modules.json", modules)
    pooling = {"word_embedding_dimension": SIZE, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    _json(folder / "1_Pooling" / "config.json", pooling)
    _json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    return folder


def cross_encoder(folder: Path) -> Path:
    """A reranker: a sequence classifier with one label."""
    return _bert(folder, "BertForSequenceClassification", labels=["relevance"])


def _bert(folder: Path, architecture: str, labels: list[str] | None = None, prefix: str = "bert.") -> Path:
    config = {
        "architectures": [architecture],
        "model_type": "bert",
        "vocab_size": len(VOCABULARY),
        "hidden_size": SIZE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": 2 * SIZE,
        "max_position_embeddings": MAX_TOKENS,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    }
    if labels:
        config |= {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    _json(folder / "config.json", config)
    weights = {prefix + name: values for name, values in _weights().items()}
    if labels:
        weights |= _linear("classifier", len(labels), SIZE, np.random.default_rng(1))
    _save(folder / "model.safetensors", weights)
    _tokenizer(folder)
    return folder


def _weights() -> dict[str, Any]:
    random = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for name, rows in (("word", len(VOCABULARY)), ("position", MAX_TOKENS), ("token_type", 2)):
        found[f"embeddings.{name}_embeddings.weight"] = random.standard_normal((rows, SIZE)).astype(np.float32)
    found |= _norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            found |= _linear(f"{at}.attention.self.{part}", SIZE, SIZE, random)
        found |= _linear(f"{at}.attention.output.dense", SIZE, SIZE, random) | _norm(f"{at}.attention.output.LayerNorm")
        found |= _linear(f"{at}.intermediate.dense", 2 * SIZE, SIZE, random)
        found |= _linear(f"{at}.output.dense", SIZE, 2 * SIZE, random) | _norm(f"{at}.output.LayerNorm")
    return found | _linear("pooler.dense", SIZE, SIZE, random)


def _linear(name: str, out: int, into: int, random: np.random.Generator) -> dict[str, Any]:
    weight = (random.standard_normal((out, into)) / into**0.5).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": np.zeros(out, np.float32)}


def _norm(name: str) -> dict[str, Any]:
    return {f"{name}.weight": np.ones(SIZE, np.float32), f"{name}.bias": np.zeros(SIZE, np.float32)}


def _save(path: Path, weights: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    save_file(weights, path, metadata={"format": "pt"})


def _tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    tokenizer = Tokenizer(WordPiece({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(_SPECIAL)
    ids = [(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "model_max_length": MAX_TOKENS})


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
