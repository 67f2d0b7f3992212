"""What a graph is given, and which of its answers is taken: both by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from penstock.core.errors import ModelFileError
from penstock.core.tensors import Array
from penstock.core.text import Task

IDS, MASK, TYPES, POSITIONS = "input_ids", "attention_mask", "token_type_ids", "position_ids"
_EMBEDDINGS = ("sentence_embedding", "last_hidden_state", "token_embeddings")
# Architectures whose positions count from after the padding token's id.
_SHIFTED = ("roberta", "mpnet", "camembert", "longformer")


class Feed:
    """Makes a graph's inputs. `inputs`: their names and dtypes; `pad`: the padding token's id."""

    def __init__(self, inputs: Mapping[str, np.dtype], architecture: str, pad: int):
        strange = inputs.keys() - {IDS, MASK, TYPES, POSITIONS}
        if strange or IDS not in inputs:
            what = f"wants {min(strange)!r}" if strange else f"takes no {IDS!r}"
            raise ModelFileError(f"the file is no text encoder: it {what}; encoders take {IDS}, {MASK}, {TYPES}")
        self._dtypes = dict(inputs)
        self._first = pad + 1 if any(name in architecture for name in _SHIFTED) else 0

    def __call__(self, ids: Array, mask: Array, types: Array | None) -> dict[str, Array]:
        """The inputs that the graph has. ids, mask, types: [rows, length] int64."""
        known = {IDS: ids, MASK: mask}
        if TYPES in self._dtypes:
            known[TYPES] = np.zeros_like(ids) if types is None else types
        if POSITIONS in self._dtypes:
            known[POSITIONS] = np.broadcast_to(np.arange(self._first, self._first + ids.shape[1]), ids.shape)
        return {name: np.ascontiguousarray(known[name], dtype) for name, dtype in self._dtypes.items()}


def check_open(shapes: Iterable[tuple[str, Sequence[object]]]) -> None:
    """Raises `ModelFileError` unless rows and length of every input are open. `shapes`: open sizes are no whole
    numbers, or negative."""
    for name, shape in shapes:
        fixed = [size for size in shape if isinstance(size, int) and size >= 0]
        if fixed or len(shape) != 2:
            raise ModelFileError(
                f"the file takes {name} of one shape only, {list(shape)}; export it with open (dynamic) rows and length"
            )


def chosen(outputs: Sequence[str], task: Task) -> int:
    """Which of a graph's outputs is the task's."""
    wanted = _EMBEDDINGS if task == "embedding" else ("logits",)
    return next((outputs.index(name) for name in wanted if name in outputs), 0)
