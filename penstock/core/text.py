"""What a model that reads text does: the description that its files give, and its runtime obeys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from penstock.core.generation import Generation, Usage

if TYPE_CHECKING:
    from penstock.core.tensors import Tensors

Task = Literal["embedding", "classification", "reranking", "token-classification", "fill-mask"]
Pooling = Literal["mean", "cls", "max", "last"]
Precision = Literal["fp32", "fp16", "bf16", "int8", "int4"]

# The inputs of every text model (BYTES, [-1], one element per row), by name.
TEXT = "text"
PAIR = "text_pair"
TOKEN_IDS = "token_ids"  # noqa: S105
TRUNCATE = "truncate"
# The outputs.
EMBEDDING = "embedding"
LABEL = "label"
CONFIDENCE = "confidence"
SCORES = "scores"
SCORE = "score"
ENTITIES = "entities"
CANDIDATES = "candidates"
TOKENS = "tokens"
TRUNCATED = "truncated"


class TextModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to read, run and understand one text model. Travels as the options of its `ModelSpec`.

    `architecture`: as its config names it ("bert"). `tokenizer`: its tokenizer.json, absolute or beside the model file.
    `max_length`: tokens that it reads at most, special ones included. `labels`: of its classes. `pooling`,
    `normalize`: how token states become a sentence's embedding. `activation`: from logits to scores. `prompt`: a text
    that goes before every input. `lower_case`: lower the input first. `vocab_size`: token ids stop below it.
    `padding`: the token id that fills up, which some networks look for; None: the tokenizer's.
    `truncate`: cut over-long inputs unless a request says otherwise, instead of refusing them.
    `engine`: what runs it (auto: by the file). `inference`: the arithmetic. `dynamic_quantization`: group size
    in which activations are quantized on the way (OpenVINO; 0: not at all). `aggregation`: for token
    classification, whether tokens of one entity are put together.
    """

    task: Task
    architecture: str = ""
    tokenizer: str = "tokenizer.json"
    max_length: int = 512
    labels: tuple[str, ...] = ()
    pooling: Pooling = "mean"
    normalize: bool = False
    activation: Literal["softmax", "sigmoid", "identity"] = "softmax"
    prompt: str = ""
    lower_case: bool = False
    vocab_size: int = 0
    padding: int | None = None
    truncate: bool = False
    engine: Literal["auto", "openvino", "onnxruntime", "torch"] = "auto"
    inference: Literal["f32", "bf16", "f16"] = "f32"
    dynamic_quantization: int = 0
    aggregation: Literal["simple", "none"] = "simple"


def usage_of_texts(payload: Tensors | Generation, outputs: Tensors) -> Usage | None:
    """The tokens that a text model read, as it says beside its answers; None for other models."""
    tokens = outputs.get(TOKENS)
    if tokens is None or tokens.array.ndim != 1 or tokens.array.dtype.kind not in "iu":
        return None
    if isinstance(payload, Generation) or all(tensor.datatype != "BYTES" for tensor in payload.values()):
        return None
    return Usage(prompt_tokens=int(tokens.array.sum()))
