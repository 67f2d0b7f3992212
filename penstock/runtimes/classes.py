"""What classifiers answer: a label, the probabilities of all classes, or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.core.errors import ConfigError
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array, Tensor, datatype_of

LABEL = "label"
PROBABILITIES = "probabilities"


def wanted(output: str, has_probabilities: bool) -> tuple[str, ...]:
    """The outputs to compute for the setting `output`.

    "both" is the label alone for a classifier without probabilities; asking for probabilities by
    name then raises `ConfigError`, as does an unknown setting.
    """
    if output not in (LABEL, PROBABILITIES, "both"):
        raise ConfigError(f"output must be label, probabilities or both, not {output!r}")
    if output == PROBABILITIES and not has_probabilities:
        raise ConfigError("this classifier has no probabilities; ask for output: label")
    if output != "both":
        return (output,)
    return (LABEL, PROBABILITIES) if has_probabilities else (LABEL,)


def check_no_classifier(output: str) -> None:
    """Raises `ConfigError` when something but "both" is asked of a model that is no classifier."""
    if output != "both":
        raise ConfigError(f"output: {output} is for classifiers, and this model is none; leave it out")


def plain(classes: Sequence[Any] | Array) -> list[Any]:
    """Class labels as plain values, fit for a manifest."""
    return [item.item() if isinstance(item, np.generic) else item for item in classes]


def label_values(classes: Sequence[Any] | Array) -> Array:
    """Labels as an array to pick from by class number: numbers keep their type, text becomes `bytes`."""
    return Tensor.of(np.asarray(classes)).array


def names(classes: Sequence[Any] | Array) -> tuple[str, ...]:
    """Class labels as text."""
    return tuple(item.decode(errors="replace") if isinstance(item, bytes) else str(item) for item in plain(classes))


def specs(classes: Sequence[Any] | Array, outputs: Sequence[str], datatype: str) -> tuple[TensorSpec, ...]:
    """The outputs of a classifier; `datatype`: of its probabilities."""
    texts = names(classes)
    known = {
        LABEL: TensorSpec(LABEL, datatype_of(label_values(classes)), (-1,)),
        PROBABILITIES: TensorSpec(PROBABILITIES, datatype, (-1, len(texts)), labels=texts),
    }
    return tuple(known[name] for name in outputs)


def from_probabilities(probabilities: Array, labels: Array, outputs: Sequence[str]) -> dict[str, Array]:
    """The wanted outputs, the label being the most probable class. probabilities: [rows, classes]."""
    answer: dict[str, Array] = {}
    for name in outputs:
        answer[name] = labels[probabilities.argmax(axis=1)] if name == LABEL else probabilities
    return answer


def both_columns(positive: Array) -> Array:
    """Probabilities of both classes, [rows, 2], from those of the second, [rows]."""
    return np.column_stack([1 - positive, positive])
