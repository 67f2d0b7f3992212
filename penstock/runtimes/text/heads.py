"""Which head answers a task."""

from __future__ import annotations

from penstock.core.text import TextModel
from penstock.runtimes.text.classification import Classification
from penstock.runtimes.text.embedding import Embedding
from penstock.runtimes.text.fill_mask import FillMask
from penstock.runtimes.text.head import Head
from penstock.runtimes.text.reranking import Reranking
from penstock.runtimes.text.token_classification import TokenClassification
from penstock.runtimes.text.tokenizer import Tokenizer


def head_of(model: TextModel, tokenizer: Tokenizer) -> Head:
    """The task's own."""
    match model.task:
        case "embedding":
            return Embedding(model)
        case "classification":
            return Classification(model)
        case "reranking":
            return Reranking(model)
        case "token-classification":
            return TokenClassification(model, tokenizer)
        case "fill-mask":
            return FillMask(tokenizer)
