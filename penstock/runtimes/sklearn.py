"""scikit-learn and whatever predicts like it: joblib and pickle files under trust, skops files without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.core.errors import BadInput, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array, bytes_array
from penstock.runtimes import classes, examples, tables
from penstock.runtimes.contract import Saved
from penstock.runtimes.estimators import check_fitted, pickled, read_pickle, read_skops, version_warnings
from penstock.runtimes.shapes import Arrays, as_asked, empty_outputs, native_example, no_rows, settled, with_outputs

# Sentences with which scikit-learn refuses rows; other errors are the model's own.
_INPUT_FAULTS = ("Input X", "Input contains", "Found unknown categories", "could not convert string", "X contains")


class SklearnRuntime:
    """Runs one fitted estimator or pipeline.

    Classifiers answer "label" and "probabilities" (FP64), others "output". A model fitted on a DataFrame
    takes one input per column, any other one matrix "input"; a text pipeline takes text.
    """

    borrows = False

    def __init__(self) -> None:
        self.model: Any = None
        self.signature = Signature(())
        self._columns: tuple[str, ...] | None = None
        self._categories: Mapping[str, list[Any]] = {}
        self._methods: dict[str, str] = {}

    def load(self, spec: ModelSpec) -> Signature:
        """Reads the file and finds out what the model takes and gives."""
        with version_warnings(spec.name):
            self.model = read_skops(spec) if spec.format == "skops" else read_pickle(spec)
        _limit_threads(self.model, spec.threads)
        self._methods = methods(self.model, spec.output)
        self._categories = spec.options.get("categories", {})
        inputs = spec.signature.inputs if spec.signature else infer_inputs(self.model, native_example(spec))
        self._columns = tuple(i.name for i in inputs) if _named(self.model, inputs) else None
        self.signature = self._complete(as_asked(Signature(inputs), spec), spec)
        return self.signature

    def _complete(self, signature: Signature, spec: ModelSpec) -> Signature:
        known = settled(spec, list(self._methods))
        if known is not None:
            return msgspec.structs.replace(signature, outputs=known)
        found = with_outputs(signature, self._run, spec)
        outputs = tuple(self._labelled(output) for output in found.outputs)
        return msgspec.structs.replace(found, outputs=outputs)

    def _labelled(self, output: TensorSpec) -> TensorSpec:
        if output.name != classes.PROBABILITIES:
            return output
        return msgspec.structs.replace(output, labels=classes.names(self.model.classes_))

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        return empty_outputs(self.signature) if no_rows(self.signature, inputs) else self._run(inputs)

    def _run(self, inputs: Arrays) -> Arrays:
        rows = self._rows(inputs)
        with _input_faults():
            return {name: as_output(getattr(self.model, method)(rows)) for name, method in self._methods.items()}

    def _rows(self, inputs: Arrays) -> Any:
        if self._columns is not None:
            return tables.frame(inputs, self._columns, self._categories)
        name, array = next(iter(inputs.items()))
        if array.dtype != object:
            return array
        return tables.texts(array, name) if array.ndim == 1 else tables.text_array(array, name)


def methods(model: Any, output: str) -> dict[str, str]:
    """Output name → the model's method that computes it. Raises `ModelFileError` for what is no model."""
    if not hasattr(model, "predict"):
        if hasattr(model, "transform"):
            classes.check_no_classifier(output)
            return {"output": "transform"}
        kind = type(model).__qualname__
        raise ModelFileError(
            f"the file holds a {kind}, which has neither predict nor transform; for a function set runtime: callable"
        )
    if not hasattr(model, "classes_") or getattr(model, "_estimator_type", "classifier") != "classifier":
        classes.check_no_classifier(output)
        return {"output": "predict"}
    # Several targets at once have a list of class arrays, and no single matrix of probabilities.
    single = not isinstance(model.classes_, list) and hasattr(model, "predict_proba")
    names = {classes.LABEL: "predict", classes.PROBABILITIES: "predict_proba"}
    return {name: names[name] for name in classes.wanted(output, single)}


def infer_inputs(model: Any, example: Any) -> tuple[TensorSpec, ...]:
    """What the model takes, from its own attributes and an example (rows, array or DataFrame).

    Raises `ModelFileError` when neither tells.
    """
    names = getattr(model, "feature_names_in_", None)
    arrays = None if example is None else examples.arrays_of(example)
    if names is not None:
        return _named_inputs([str(name) for name in names], arrays)
    if arrays is not None:
        return examples.inputs_of(arrays)
    width = getattr(model, "n_features_in_", None)
    if width is not None:
        return (TensorSpec(examples.INPUT, "FP64", (-1, int(width))),)
    if _takes_text(model):
        return (TensorSpec(examples.INPUT, "BYTES", (-1,)),)
    raise ModelFileError("what the model takes is not in its file; give a row or two of input as example")


def _named_inputs(names: list[str], arrays: Arrays | None) -> tuple[TensorSpec, ...]:
    if arrays is None:
        return tuple(TensorSpec(name, "FP64", (-1,)) for name in names)
    if list(arrays) == [examples.INPUT] and arrays[examples.INPUT].ndim == 2:
        table = arrays[examples.INPUT]
        if table.shape[1] == len(names):
            arrays = {name: examples.checked(table[:, at], name) for at, name in enumerate(names)}
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ModelFileError(f"the example lacks columns that the model was fitted on: {', '.join(missing[:10])}")
    return examples.inputs_of({name: arrays[name] for name in names})


def _named(model: Any, inputs: tuple[TensorSpec, ...]) -> bool:
    return hasattr(model, "feature_names_in_") or len(inputs) > 1 or (inputs[0].name != examples.INPUT)


def _takes_text(model: Any) -> bool:
    steps = getattr(model, "steps", None)
    first = steps[0][1] if steps else model
    return any(kind.__module__ == "sklearn.feature_extraction.text" for kind in type(first).__mro__)


def as_output(values: Any) -> Array:
    """Whatever an estimator returns as an array: sparse matrices and DataFrames too, text as `bytes`."""
    if hasattr(values, "toarray"):
        values = values.toarray()
    array = np.asarray(values)
    return bytes_array(array) if array.dtype.kind in "OUS" else array


@contextmanager
def _input_faults() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        text = str(error).partition("\n")[0]
        if text.startswith(_INPUT_FAULTS):
            raise BadInput(f"the model does not take this input: {text[:300]}") from error
        raise


def _limit_threads(model: Any, threads: int) -> None:
    """Estimators with n_jobs would each take every core of the machine."""
    if hasattr(model, "get_params") and hasattr(model, "set_params"):
        jobs = {key: threads for key in model.get_params() if key == "n_jobs" or key.endswith("__n_jobs")}
        if jobs:
            model.set_params(**jobs)


def accepts(obj: object) -> bool:
    """Fitted estimators, pipelines, and objects that predict like them."""
    return hasattr(obj, "fit") and (hasattr(obj, "predict") or hasattr(obj, "transform"))


def save(obj: Any, folder: Path, example: Any) -> Saved:
    """Writes model.joblib. Raises `ModelFileError` when the model is not fitted or cannot be pickled."""
    check_fitted(obj)
    (folder / "model.joblib").write_bytes(pickled(obj))
    inputs = infer_inputs(obj, example)
    return Saved(
        file="model.joblib",
        runtime="sklearn",
        format="pickle",
        signature=Signature(inputs),
        classes=_classes(obj),
        runs_code=True,
        libraries=_libraries(),
        options={"categories": found} if (found := _categories(example)) else {},
    )


def _classes(obj: Any) -> list[Any] | None:
    found = getattr(obj, "classes_", None)
    return None if found is None or isinstance(found, list) else classes.plain(found)


def _categories(example: Any) -> dict[str, list[Any]]:
    if not examples.is_frame(example):
        return {}
    columns = {str(name): example[name] for name in example.columns}
    return {name: classes.plain(c.cat.categories) for name, c in columns.items() if hasattr(c, "cat")}


def _libraries() -> dict[str, str]:
    import sklearn

    return {"scikit-learn": sklearn.__version__, "numpy": np.__version__}
