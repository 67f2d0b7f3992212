"""What XGBoost and LightGBM share: numeric columns in, classes, probabilities or numbers out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Array
from penstock.runtimes import classes, examples, tables
from penstock.runtimes.shapes import Arrays, as_asked, empty_outputs, native_example, no_rows, settled, with_outputs


class Task(NamedTuple):
    """What a booster was trained for. `classes`: how many, 0 for regression and ranking.

    `probabilities`: matrix [rows, features] → [rows, classes], or None where only labels exist.
    `values`: matrix → the objective's own answer.
    """

    classes: int
    probabilities: Callable[[Array], Array] | None
    values: Callable[[Array], Array]


class BoosterRuntime:
    """Runs a booster over one matrix of numbers; a subclass reads the file.

    One input "input", or one per column when the model was saved with a DataFrame example.
    Classifiers answer "label" and "probabilities", others "output".
    """

    borrows = False
    datatype = "FP32"

    def __init__(self) -> None:
        self.task = Task(0, None, lambda rows: rows)
        self.signature = Signature(())
        self._names: list[str] = []
        self._outputs: tuple[str, ...] = ()
        self._labels: Array = np.empty(0)

    def open(self, spec: ModelSpec) -> tuple[Task, list[str], int]:
        """Reads the file: the task, the features' names (empty without), how many features."""
        raise NotImplementedError

    def load(self, spec: ModelSpec) -> Signature:
        """Reads the file and finds out what the model takes and gives."""
        self.task, names, width = self.open(spec)
        signature = spec.signature or Signature(infer_inputs(names, width, native_example(spec), self.datatype))
        signature = as_asked(signature, spec)
        self._names = [i.name for i in signature.inputs]
        if self.task.classes:
            signature = self._classify(signature, spec)
        else:
            classes.check_no_classifier(spec.output)
            signature = msgspec.structs.replace(signature, outputs=settled(spec, ["output"]) or ())
            signature = signature if signature.outputs else with_outputs(signature, self._run, spec)
        self.signature = signature
        return signature

    def _classify(self, signature: Signature, spec: ModelSpec) -> Signature:
        known = spec.classes or list(range(self.task.classes))
        if len(known) != self.task.classes:
            raise ModelFileError(f"the model has {self.task.classes} classes, but {len(known)} are named")
        self._labels = classes.label_values(known)
        self._outputs = classes.wanted(spec.output, self.task.probabilities is not None)
        outputs = classes.specs(known, self._outputs, self.datatype)
        return msgspec.structs.replace(signature, outputs=outputs)

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        return empty_outputs(self.signature) if no_rows(self.signature, inputs) else self._run(inputs)

    def _run(self, inputs: Arrays) -> Arrays:
        rows = tables.matrix(inputs, self._names, DTYPES[self.datatype])
        if not self.task.classes:
            return {"output": self.task.values(rows)}
        if self.task.probabilities is None:
            return {classes.LABEL: self._labels[self.task.values(rows).astype(np.int64)]}
        return classes.from_probabilities(self.task.probabilities(rows), self._labels, self._outputs)


def infer_inputs(names: Sequence[str], width: int, example: Any, datatype: str) -> tuple[TensorSpec, ...]:
    """One matrix input of `width` numbers; a column each when the example has named columns.

    Raises `ModelFileError` for columns that are not numbers, or not those of the model.
    """
    if example is None or not examples.has_columns(example):
        return (TensorSpec(examples.INPUT, datatype, (-1, width)),)
    arrays = examples.arrays_of(example)
    wanted = list(names) if names and set(names) <= arrays.keys() else list(arrays)
    if len(wanted) != width:
        raise ModelFileError(f"the model has {width} features, the example {len(wanted)} columns")
    text = [name for name in wanted if arrays[name].dtype == object]
    if text:
        raise ModelFileError(
            f"column {text[0]!r} is text; native booster files are served with numbers only: "
            "put the encoding and the model in one scikit-learn Pipeline"
        )
    return tuple(TensorSpec(name, datatype, (-1,)) for name in wanted)


def softmax(margins: Array) -> Array:
    """Rows that sum to one. margins: [rows, classes]."""
    powers = np.exp(margins - margins.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
