"""Signatures from what a model does: shapes by the first axis, outputs by running it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from penstock.core.errors import ConfigError, ModelFailed, ModelFileError, PenstockError
from penstock.core.model import ModelSpec
from penstock.core.rows import rows_to_tensors
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Array, datatype_of

Arrays = dict[str, Array]


def by_first_axis(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Signature:
    """Decides from the shapes whether the first axis counts rows.

    It does when it is variable everywhere, or the same number N everywhere (then the model takes
    N rows at a time). Otherwise the model takes one request at a time, in the shapes of the file.
    """
    firsts = {spec.shape[0] if spec.shape else None for spec in (*inputs, *outputs)}
    sizes = firsts - {-1}
    inputs_vary = all(spec.shape and spec.shape[0] == -1 for spec in inputs)
    if None in firsts or len(sizes) > 1 or (sizes and inputs_vary):
        return Signature(tuple(inputs), tuple(outputs), batched=False)
    fixed = next(iter(sizes), None)
    return Signature(tuple(map(_rows_first, inputs)), tuple(map(_rows_first, outputs)), fixed_rows=fixed)


def _rows_first(spec: TensorSpec) -> TensorSpec:
    return msgspec.structs.replace(spec, shape=(-1, *spec.shape[1:]))


def as_asked(signature: Signature, spec: ModelSpec) -> Signature:
    """The signature, batched or not as the settings say, else as it was when the model was saved.

    Raises `ConfigError` when the model's shapes do not let the first axis count rows.
    """
    asked = spec.batched
    # A saved signature without outputs was not settled by a run yet, and only its "no" was said by somebody.
    if asked is None and spec.signature is not None and (spec.signature.outputs or not spec.signature.batched):
        asked = spec.signature.batched
    if asked is None or asked == signature.batched:
        return signature
    return _counting_rows(signature) if asked else _whole(signature)


def _whole(signature: Signature) -> Signature:
    """Not batched: the shapes of the file, one request at a time."""
    first = -1 if signature.fixed_rows is None else signature.fixed_rows

    def sized(spec: TensorSpec) -> TensorSpec:
        return msgspec.structs.replace(spec, shape=(first, *spec.shape[1:])) if spec.shape else spec

    return Signature(tuple(map(sized, signature.inputs)), tuple(map(sized, signature.outputs)), batched=False)


def _counting_rows(signature: Signature) -> Signature:
    scalars = [spec.name for spec in (*signature.inputs, *signature.outputs) if not spec.shape]
    if scalars:
        raise ConfigError(f"batched: true does not fit {scalars[0]!r}, which has no axis that could count rows")
    firsts = {spec.shape[0] for spec in signature.inputs}
    if len(firsts) > 1:
        raise ConfigError(f"batched: true does not fit inputs whose first axes differ: {sorted(firsts)}")
    fixed = next(iter(firsts - {-1}), None)
    inputs, outputs = tuple(map(_rows_first, signature.inputs)), tuple(map(_rows_first, signature.outputs))
    return Signature(inputs, outputs, fixed_rows=fixed)


def native_example(spec: ModelSpec) -> Any:
    """The spec's example as the model itself takes it: rows, or the one input of a model that is not batched."""
    return spec.example[0] if spec.example and spec.batched is False else spec.example


def example_arrays(signature: Signature, spec: ModelSpec) -> Arrays | None:
    """The spec's example rows as arrays by input name; None without an example."""
    if not spec.example:
        return None
    rows = spec.example if signature.batched else spec.example[:1]
    if signature.fixed_rows:
        rows = [rows[index % len(rows)] for index in range(signature.fixed_rows)]
    return {name: tensor.array for name, tensor in rows_to_tensors(signature, rows).items()}


def stand_in(signature: Signature, rows: int = 2) -> Arrays:
    """Zeros, and the letter "a" for text, in the shapes of the inputs (variable sizes are 1)."""
    arrays: Arrays = {}
    for spec in signature.inputs:
        shape = [1 if size == -1 else size for size in spec.shape]
        if signature.batched:
            shape[0] = signature.fixed_rows or rows
        text = spec.datatype == "BYTES"
        arrays[spec.name] = np.full(shape, b"a", dtype=object) if text else np.zeros(shape, DTYPES[spec.datatype])
    return arrays


def with_outputs(signature: Signature, run: Callable[[Arrays], Mapping[str, Array]], spec: ModelSpec) -> Signature:
    """The signature with its outputs, found by running the model once on the example or on a stand-in.

    Raises `ModelFileError` that asks for an example when the model does not take the stand-in.
    """
    example = example_arrays(signature, spec)
    arrays = stand_in(signature) if example is None else example
    try:
        outputs = run(arrays)
    except PenstockError:
        if example is not None:
            raise
        raise _needs_example() from None
    except Exception as error:
        if example is None:
            raise _needs_example() from error
        reason = f"{type(error).__name__}: {error}"[:500]
        raise ModelFileError(f"the model fails on its own example: {reason}") from error
    rows = len(next(iter(arrays.values()))) if signature.batched and arrays else 1
    specs = tuple(_output(name, np.asarray(array), signature, rows) for name, array in outputs.items())
    return msgspec.structs.replace(signature, outputs=specs)


def _needs_example() -> ModelFileError:
    return ModelFileError(
        "what the model answers is not in its file, and it does not take zeros; give a row or two of input as example"
    )


def _output(name: str, array: Array, signature: Signature, rows: int) -> TensorSpec:
    shape = tuple(int(size) for size in array.shape)
    if signature.batched:
        check_rows(name, shape, rows)
        shape = (-1, *shape[1:])
    elif any(-1 in spec.shape for spec in signature.inputs):
        shape = (-1,) * len(shape)
    return TensorSpec(name, datatype_of(array), shape)


def check_rows(name: str, shape: Sequence[int], rows: int) -> None:
    """Raises `ModelFailed` unless an output has one row per input row."""
    if not shape or shape[0] != rows:
        raise ModelFailed(
            f"output {name!r} has shape {list(shape)} for {rows} input rows; "
            "a model must return one output row per input row"
        )


def settled(spec: ModelSpec, names: Sequence[str]) -> tuple[TensorSpec, ...] | None:
    """The outputs that the spec's signature already holds, in the order of `names`; None if any is missing."""
    if spec.signature is None:
        return None
    known = {output.name: output for output in spec.signature.outputs}
    return tuple(known[name] for name in names) if names and all(name in known for name in names) else None


def no_rows(signature: Signature, inputs: Mapping[str, Array]) -> bool:
    """Whether a batch is empty."""
    return signature.batched and any(len(array) == 0 for array in inputs.values())


def empty_outputs(signature: Signature) -> Arrays:
    """The answer to a batch of zero rows: outputs of zero rows."""
    return {
        spec.name: np.empty((0, *(max(size, 0) for size in spec.shape[1:])), DTYPES[spec.datatype])
        for spec in signature.outputs
    }
