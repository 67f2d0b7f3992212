"""What the doors to models that read text share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.core.errors import Loading, TooLarge
from penstock.core.model import Models, ModelView
from penstock.core.signature import Signature
from penstock.core.tensors import Array, Tensor, Tensors, object_array
from penstock.core.text import TOKENS, TRUNCATE, TRUNCATED
from penstock.protocols.reading import wrong

MAX_TEXTS = 16_384
"""Texts, token id lists or documents in one request of the doors for text models."""


def signature_for(models: Models, name: str, task: str) -> Signature:
    """The signature of a model that does the task.

    Raises `UnknownModel`, `Loading`, and `BadInput` that says what the model does instead, and which do the task.
    """
    return signature_of(models.find(name), models, name, task)


def signature_of(view: ModelView, models: Models, name: str, task: str) -> Signature:
    """The same of a model that was found already; `models` are those that the client may see."""
    signature = view.signature
    if signature is None:
        raise Loading("the model is loading; try again shortly")
    if signature.task != task:
        does = f"does {signature.task}" if signature.task else "does not read text for a task of its own"
        raise wrong("model", f"model {name[:128]!r} {does}, not {task}; {who_does(models, task)}")
    return signature


def who_does(models: Models, task: str) -> str:
    """A sentence that names the served models for a task."""
    names = names_for(models, task)
    return f"for {task} there is: {', '.join(names[:10])}" if names else f"no model for {task} is served here"


def names_for(models: Models, task: str) -> list[str]:
    """The served models that do a task, each once."""
    found = [view.spec.name for view in models.all() if view.signature is not None and view.signature.task == task]
    return list(dict.fromkeys(found))


def check_count(field: str, count: int) -> None:
    """Raises `BadInput` for none, `TooLarge` for more texts than one request may have."""
    if count == 0:
        raise wrong(field, f"{field} is empty; send at least one")
    if count > MAX_TEXTS:
        raise wrong(field, f"{field} has {count} items, at most {MAX_TEXTS}; send several requests", TooLarge)


def text_tensor(texts: Sequence[str]) -> Tensor:
    """BYTES [n], UTF-8. The texts come from JSON that was checked for lone surrogates."""
    return Tensor("BYTES", object_array([text.encode() for text in texts], (len(texts),)))


def with_truncation(tensors: dict[str, Tensor], truncate: bool | None, rows: int) -> dict[str, Tensor]:
    """Tells the model for every row whether it may cut it; without a wish the model's own setting holds."""
    if truncate is not None:
        tensors[TRUNCATE] = Tensor("BOOL", np.full(rows, truncate))
    return tensors


def takes_truncation(signature: Signature) -> bool:
    """Whether the model can be told to cut over-long texts."""
    return bool(signature.task) and any(spec.name == TRUNCATE for spec in signature.inputs)


def truncated_rows(outputs: Tensors) -> list[int]:
    """The rows of which the model read only the start."""
    if TRUNCATED not in outputs or TOKENS not in outputs:
        return []
    flags: Array = outputs[TRUNCATED].array
    return np.flatnonzero(flags).tolist() if flags.any() else []


def tokens_read(outputs: Tensors) -> int:
    """Tokens that the model read, over all rows."""
    return int(outputs[TOKENS].array.sum())


def named_or_only(models: Models, name: str | None, task: str) -> str:
    """The model named, or the only one for the task. Raises `BadInput` when it is not clear which."""
    if name is not None:
        return name
    names = names_for(models, task)
    if len(names) != 1:
        raise wrong("model", f"model is missing; {who_does(models, task)}")
    return names[0]
