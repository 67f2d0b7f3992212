"""Plain functions and `penstock.Model` subclasses: from a module, a .py file, or a cloudpickle under trust."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.core.errors import ModelFailed, ModelFileError, PenstockError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Array, Tensor
from penstock.runtimes import classes, examples, hints, tables
from penstock.runtimes.contract import Saved
from penstock.runtimes.python_objects import open_object, pickled, ready
from penstock.runtimes.shapes import (
    Arrays,
    as_asked,
    check_rows,
    empty_outputs,
    native_example,
    no_rows,
    with_outputs,
)

OUTPUT = "output"


class CallableRuntime:
    """Runs a function over batches.

    With one input the function gets one argument: an array with rows first, a list where its hint
    says list, a list of str for text. With several inputs it gets one keyword argument each; if it
    has a single parameter, a DataFrame where the hint says so or the example was one, else a dict.
    """

    borrows = False

    def __init__(self, obj: Any = None) -> None:
        """`obj`: a live object to run instead of what the spec names, for serving in this process."""
        self._obj = obj
        self.function: Callable[..., Any] = lambda: None
        self.signature = Signature(())
        self._parameters: dict[str, Any] = {}
        self._frame = False

    def load(self, spec: ModelSpec) -> Signature:
        """Imports or unpickles the function, and calls a `Model`'s `load`."""
        classes.check_no_classifier(spec.output)
        self.function = ready(open_object(spec) if self._obj is None else self._obj)
        self._parameters = hints.parameters(self.function)
        only = next(iter(self._parameters.values()), None)
        self._frame = hints.wants_frame(only) or bool(spec.options.get("frame"))
        inputs = spec.signature.inputs if spec.signature else infer_inputs(self.function, native_example(spec))
        self.signature = self._complete(as_asked(Signature(inputs), spec), spec)
        return self.signature

    def _complete(self, signature: Signature, spec: ModelSpec) -> Signature:
        outputs = spec.signature.outputs if spec.signature else ()
        hinted = hints.tensor(OUTPUT, hints.hints_of(self.function).get("return"))
        if not outputs and hinted is not None and -1 not in hinted.shape[1:]:
            outputs = (hinted,)
        if outputs:
            return msgspec.structs.replace(signature, outputs=outputs)
        return with_outputs(signature, lambda inputs: named_outputs(self._call(inputs, signature)), spec)

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch. Raises `ModelFailed` unless every output has one row per input row, if rows count."""
        if no_rows(self.signature, inputs):
            return empty_outputs(self.signature)
        outputs = named_outputs(self._call(inputs, self.signature))
        rows = len(next(iter(inputs.values()))) if inputs else 1
        for name, array in outputs.items() if self.signature.batched else ():
            check_rows(name, array.shape, rows)
        return {spec.name: _fitting(spec, outputs) for spec in self.signature.outputs}

    def _call(self, inputs: Arrays, signature: Signature) -> Any:
        if len(signature.inputs) == 1 and not self._frame:
            [(name, array)] = inputs.items()
            hint = next(iter(self._parameters.values()), None)
            return self.function(argument(array, name, hint))
        if len(self._parameters) == 1:
            return self.function(self._table(inputs, signature))
        return self.function(**{name: argument(a, name, self._parameters.get(name)) for name, a in inputs.items()})

    def _table(self, inputs: Arrays, signature: Signature) -> Any:
        if self._frame:
            return tables.frame(inputs, [spec.name for spec in signature.inputs], {})
        return {name: argument(array, name, None) for name, array in inputs.items()}


def argument(array: Array, name: str, hint: Any) -> Any:
    """One input as the function wants it: text decoded, lists where it asks for lists."""
    if array.dtype == object:
        if hints.wants_bytes(hint):
            return array.tolist()
        return tables.texts(array, name) if array.ndim == 1 else tables.text_array(array, name)
    return array.tolist() if hints.wants_list(hint) else array


def named_outputs(result: Any) -> Arrays:
    """Whatever a function returns, as arrays by name: "output", a dict's keys, or "output_0", "output_1"...

    Raises `ModelFailed` for what has no datatype.
    """
    if isinstance(result, tuple):
        result = {f"{OUTPUT}_{index}": value for index, value in enumerate(result)}
    if examples.is_frame(result):
        result = {name: result[name] for name in result.columns}
    if isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
        result = _columns(result)
    if not isinstance(result, dict):
        result = {OUTPUT: result}
    return {str(name): _array(str(name), value) for name, value in result.items()}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ModelFailed("the function returned rows with different keys; every row must have the same")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _array(name: str, value: Any) -> Array:
    if value is None:
        raise ModelFailed(f"the function returned None for {name!r}; it must return one row per input row")
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        return Tensor.of(value).array
    except (PenstockError, ValueError) as error:
        raise ModelFailed(f"{name!r} cannot be sent: {error}"[:300]) from error


def _fitting(spec: TensorSpec, outputs: Arrays) -> Array:
    """An output in the signature's datatype, if that loses nothing."""
    array = outputs.get(spec.name)
    if array is None:
        raise ModelFailed(f"the function returned no {spec.name!r}; it returned: {', '.join(outputs)}"[:300])
    dtype = DTYPES[spec.datatype]
    if array.dtype == dtype:
        return array
    if "O" in (dtype.kind, array.dtype.kind) or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise ModelFailed(
            f"the function returned {array.dtype} for {spec.name!r}, which the signature says is {spec.datatype}"
        )
    return array.astype(dtype)


def infer_inputs(function: Callable[..., Any], example: Any) -> tuple[TensorSpec, ...]:
    """Inputs from type hints, else from the example. Raises `ModelFileError` that says how to give one."""
    parameters = hints.parameters(function)
    hinted = [hints.tensor(name, hint) for name, hint in parameters.items()]
    known = tuple(spec for spec in hinted if spec is not None)
    if known and len(known) == len(hinted) and all(-1 not in spec.shape[1:] for spec in known):
        return known
    if example is not None:
        return _from_example(parameters, example)
    if known and len(known) == len(hinted):
        return known
    raise ModelFileError(
        "what the function takes is not known; give an example, such as example=[[5.1, 3.5]], or type hints, "
        "such as def predict(texts: list[str])"
    )


def _from_example(parameters: dict[str, Any], example: Any) -> tuple[TensorSpec, ...]:
    arrays = examples.arrays_of(example)
    if len(arrays) == 1 and len(parameters) == 1 and not examples.has_columns(example):
        arrays = {next(iter(parameters)): next(iter(arrays.values()))}
    return examples.inputs_of(arrays)


def accepts(obj: object) -> bool:
    """Functions, `Model` subclasses and their instances, objects that can be called."""
    return callable(obj) or hasattr(obj, "predict")


def save(obj: Any, folder: Path, example: Any) -> Saved:
    """Writes function.pkl with cloudpickle: what the notebook defines goes by value."""
    import cloudpickle

    try:
        (folder / "function.pkl").write_bytes(pickled(obj))
    except Exception as error:
        raise ModelFileError(f"the function cannot be written: {type(error).__name__}: {error}"[:500]) from error
    return Saved(
        file="function.pkl",
        runtime="callable",
        format="cloudpickle",
        signature=Signature(infer_inputs(_predictor(obj), example)),
        runs_code=True,
        libraries={"cloudpickle": cloudpickle.__version__},
        options={"frame": True} if examples.is_frame(example) else {},
    )


def _predictor(obj: Any) -> Callable[..., Any]:
    """What will be called with batches, without loading the model."""
    if inspect.isclass(obj):
        obj = obj()
    return obj.predict if hasattr(obj, "predict") and not inspect.isroutine(obj) else obj  # type: ignore[no-any-return]
