"""`penstock.save`: a live model object becomes a folder that can be served anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from penstock.core.model import ModelSpec
from penstock.core.rows import tensors_to_rows
from penstock.core.signature import Signature
from penstock.core.tensors import DTYPES, Array, Tensor, Tensors
from penstock.repository import saving
from penstock.repository.manifest import Manifest
from penstock.repository.sources import checked_name, default_name
from penstock.repository.trust import TrustStore, digest_of
from penstock.runtimes import examples, registry
from penstock.runtimes.contract import Saved
from penstock.runtimes.shapes import as_asked

Output = Literal["label", "probabilities", "both"]
MAX_EXAMPLE_ROWS = 5
MAX_EXAMPLE_VALUES = 20_000


def save(
    obj: Any,
    path: str | Path,
    example: Any = None,
    name: str | None = None,
    version: str = "1",
    output: Output = "both",
    batched: bool | None = None,
) -> Path:
    """Writes a model folder: the model in its runtime's own format, and a manifest with its signature.

    `example`: a few input rows, as the model's own predict takes them (array, DataFrame, list); the
    signature's names and datatypes come from it. `name`: how it is served (default: the folder's).
    `output`: for classifiers. `batched=False`: the first axis does not count independent rows, and the
    example is one whole input. The file's digest goes into your own trust store, so that what you
    saved you can serve. A model folder of that path is replaced as a whole; anything else is
    refused with `ConfigError`. Raises `ModelFileError` when the object cannot be served.
    """
    target = Path(path).expanduser()
    save_as(obj, target, example, name=name, version=version, output=output, batched=batched)
    return target


def save_as(
    obj: Any,
    target: Path,
    example: Any = None,
    *,
    name: str | None = None,
    version: str = "1",
    output: str = "both",
    batched: bool | None = None,
    remember: bool = True,
) -> ModelSpec:
    """As `save`; returns the saved model's spec, already trusted. `remember`: in the trust store, too."""
    runtime, saver = registry.saver_for(obj)
    entry = registry.entry(runtime)
    if entry.library is not None:
        registry.require(entry.library, runtime)
    label = default_name(target.name) if name is None else checked_name(name)
    given = {"name": label, "version": checked_name(version, "version"), "output": output, "platform": entry.platform}
    with saving.replacing(target) as folder:
        saved = saver.save(obj, folder, example)
        spec = _completed(_spec(saved, folder, {**given, "batched": batched}), example)
        saving.write_manifest(folder, _manifest(spec, saved))
        # Before the folder takes its place: a model that is there can be served.
        if saved.runs_code and remember:
            TrustStore().add(str(spec.sha256), label)
    return msgspec.structs.replace(spec, path=str((target / saved.file).absolute()), device="auto")


def _spec(saved: Saved, folder: Path, given: dict[str, Any]) -> ModelSpec:
    file = folder / saved.file
    kept = {key: getattr(saved, key) for key in ("runtime", "format", "signature", "classes", "options")}
    spec = ModelSpec(path=str(file.absolute()), sha256=digest_of(file), trusted=True, device="cpu", **kept, **given)
    return spec if spec.signature is None else msgspec.structs.replace(spec, signature=as_asked(spec.signature, spec))


def _completed(spec: ModelSpec, example: Any) -> ModelSpec:
    """Loads what was written and runs the example once: the spec with its signature and example rows."""
    rows = None if spec.signature is None else example_rows(spec.signature, example)
    runtime = registry.create_runtime(spec.runtime)
    signature = runtime.load(msgspec.structs.replace(spec, example=rows))
    if example is not None:
        runtime.run({name: tensor.array for name, tensor in example_tensors(signature, example).items()})
    return msgspec.structs.replace(spec, signature=signature, example=example_rows(signature, example))


def example_tensors(signature: Signature, example: Any) -> Tensors:
    """A native example as tensors of the signature's inputs, by name or, unnamed, by order."""
    arrays = _arrays(signature, example)
    if arrays.keys() != {spec.name for spec in signature.inputs} and len(arrays) == len(signature.inputs):
        arrays = {spec.name: array for spec, array in zip(signature.inputs, arrays.values(), strict=True)}
    return {spec.name: _typed(spec.datatype, arrays[spec.name]) for spec in signature.inputs if spec.name in arrays}


def _typed(datatype: str, array: Array) -> Tensor:
    if datatype == "BF16":
        return Tensor(datatype, (array.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
    return Tensor(datatype, array.astype(DTYPES[datatype], copy=False))


def _arrays(signature: Signature, example: Any) -> dict[str, Array]:
    """One table is split into columns when the model takes columns, and columns joined when it takes one table."""
    if isinstance(example, tuple) and len(example) == len(signature.inputs) > 1:
        return {spec.name: examples.to_array(v, spec.name) for spec, v in zip(signature.inputs, example, strict=True)}
    arrays = examples.arrays_of(example)
    only = next(iter(arrays.values()))
    if len(arrays) == 1 and len(signature.inputs) > 1 and only.ndim == 2 and only.shape[1] == len(signature.inputs):
        return {spec.name: examples.checked(only[:, at], spec.name) for at, spec in enumerate(signature.inputs)}
    if len(arrays) > 1 and len(signature.inputs) == 1:
        return {signature.inputs[0].name: np.column_stack(list(arrays.values()))}
    return {name: arrays[name] for name in signature_order(signature, arrays)}


def signature_order(signature: Signature, arrays: dict[str, Any]) -> list[str]:
    """The arrays' names, those of the signature in its order and without strangers if it knows them all."""
    known = [spec.name for spec in signature.inputs if spec.name in arrays]
    return known if len(known) == len(signature.inputs) else list(arrays)


def example_rows(signature: Signature, example: Any) -> list[Any] | None:
    """The first rows of an example as the predict door takes them; None when JSON cannot hold any."""
    if example is None:
        return None
    tensors = example_tensors(signature, example)
    most = MAX_EXAMPLE_ROWS if signature.batched else None
    first = {name: _readable(t.array[:most] if t.array.ndim else t.array, t.datatype) for name, t in tensors.items()}
    if any(t.datatype == "BF16" for t in tensors.values()):
        return None
    if not first or sum(t.array.size for t in first.values()) > MAX_EXAMPLE_VALUES:
        return None
    rows = tensors_to_rows(Signature(signature.inputs, batched=signature.batched), first)
    return [row for row in rows if _finite(row)] or None


def _readable(array: Array, datatype: str) -> Tensor:
    """Short floats by their shortest digits: 5.1, not the 5.099999904632568 that FP32 makes of it."""
    if datatype in ("FP16", "FP32"):
        return Tensor("FP64", array.astype(str).astype(np.float64))
    return Tensor(datatype, array)


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _manifest(spec: ModelSpec, saved: Saved) -> Manifest:
    kept = ("name", "version", "runtime", "format", "sha256", "signature", "example", "classes", "output", "options")
    values = {key: getattr(spec, key) for key in kept}
    return Manifest(**values, file=saved.file, created_at=saving.now(), libraries=saved.libraries)
