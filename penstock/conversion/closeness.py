"""How close a network's numbers in a precision stay to those in fp32, on a few texts of our own."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from penstock.conversion import feeds, quality
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import TextModel

TEXTS = 40


def closeness(graph: ModelSpec, made: ModelSpec, model: TextModel) -> dict[str, float]:
    """Cosine similarity of the network's whole answer, text by text: median and least.

    `graph`: the network in fp32; `made`: what was written; `model`: its tokenizer by its absolute path. A quick look
    that costs seconds at most, not the report of `penstock quantize`, which compares what clients get.
    """
    plain = msgspec.structs.replace(model, engine="auto", inference="f32", dynamic_quantization=0)
    changed = msgspec.convert({**msgspec.to_builtins(model), **made.options, "tokenizer": model.tokenizer}, TextModel)
    rows = feeds.tokens(model, None)[:TEXTS]
    pad = feeds.tokenizer_of(model).pad
    before, after = (feeds.engine(spec, how, pad) for spec, how in ((graph, plain), (made, changed)))
    found = cosines(*([engine.run(*row).copy() for row in rows] for engine in (before, after)))
    return {"texts": len(rows), "cosine_median": float(np.median(found)), "cosine_min": float(found.min())}


def cosines(before: Sequence[Array], after: Sequence[Array]) -> Array:
    """Cosine similarity of a network's answers, text by text.

    Those of one number are taken together, as one answer: alone, such a number is as good as its sign.
    """
    if before[0].size == 1:
        before, after = [np.concatenate(before, axis=None)], [np.concatenate(after, axis=None)]
    pairs = zip(before, after, strict=True)
    return np.concatenate([quality.cosine(mine.reshape(1, -1), other.reshape(1, -1)) for mine, other in pairs])
