"""What `penstock quantize` does: a derived model, the report of what it costs and gains, and a folder of its own."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from penstock.conversion import child, derive, machine, possible
from penstock.conversion.data import read
from penstock.conversion.jobs import Measure, Measured, Sample
from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.text import PAIR, TEXT, Precision, TextModel
from penstock.repository import saving
from penstock.repository.manifest import MANIFEST, read_manifest
from penstock.runtimes import external_data, registry
from penstock.runtimes.text.engines.choice import choose

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the model's files on the disk, its tokenizer left out."""

    before: int
    after: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a derived model costs and gains. Kept in its manifest.

    `method`: how it was made. `before`: what it is compared with. `processor`, `threads`: what it was measured on.
    """

    precision: str
    method: str
    before: str
    size: Size
    measured: Measured
    processor: str
    measured_at: str


class Wish(NamedTuple):
    """What a person asks for. `dynamic`: int8 that calibrates nothing, so that all data measures.

    `seconds`: time to measure speed for.
    """

    precision: Precision
    data: Path | None = None
    label: str | None = None
    dynamic: bool = False
    seconds: float = 8.0


class Outcome(NamedTuple):
    """A derived model, in the model cache, and its report."""

    spec: ModelSpec
    folder: Path
    report: Report


def derive_and_measure(spec: ModelSpec, wish: Wish, say: Say) -> Outcome:
    """Makes the derived model in the model cache, and compares it with its source through their runtimes.

    Raises `ModelFileError` for what cannot be converted, `ConfigError` for data that does not fit.
    """
    source, calibrating, measuring = prepared(spec, wish)
    after = _with_runtime(derive.resolved(source, wish.precision, calibrating, say))
    before = _with_runtime(_unchanged(source, say))
    say("measuring")
    job = Measure(before=before, after=after, sample=measuring, seconds=wish.seconds)
    done = child.run(job, f"{spec.name} cannot be measured", lambda step: None)
    if done.measured is None:
        raise ModelFileError(f"{spec.name} cannot be measured: nothing came back")
    return Outcome(after, Path(after.path).parent, _report(wish, before, after, done.measured))


def prepared(spec: ModelSpec, wish: Wish) -> tuple[ModelSpec, Sample | None, Sample | None]:
    """The source for the CPU, the rows to calibrate on, and those to measure by. Raises what is wrong with the wish."""
    if spec.format == "python":
        raise ConfigError(
            f"{spec.name} is Python code, which has no weights to quantize; export its model to ONNX first"
        )
    if wish.precision == spec.precision and not possible.is_weights(spec):
        raise ConfigError(f"{spec.name} is in {wish.precision} already")
    if wish.dynamic and wish.precision != "int8":
        raise ConfigError(f"--dynamic is a way to int8; {wish.precision} is never calibrated, so leave it out")
    if wish.data is None:
        if wish.label is not None:
            raise ConfigError("--label-column names a column of --data; give that too")
        return _on_cpu(spec), None, None
    given = Sample(file=str(wish.data.absolute()), label=wish.label)
    _check_data(spec, given)
    if wish.precision != "int8" or wish.dynamic:
        return _on_cpu(spec), None, given
    calibrating = msgspec.structs.replace(given, part="calibration")
    return _on_cpu(spec), calibrating, msgspec.structs.replace(given, part="held-out")


def _check_data(spec: ModelSpec, given: Sample) -> None:
    """Reads the data once before the long work begins, where the model's inputs are known by then."""
    if spec.runtime == "text":
        pair = (TensorSpec(PAIR, "BYTES", (-1,), optional=spec.options.get("task") != "reranking"),)
        read(given, Signature((TensorSpec(TEXT, "BYTES", (-1,)), *pair), task=str(spec.options.get("task"))))


def _on_cpu(spec: ModelSpec) -> ModelSpec:
    return msgspec.structs.replace(spec, device="cpu")


def _unchanged(spec: ModelSpec, say: Say) -> ModelSpec:
    """What would be served without a change of precision."""
    return derive.resolved(spec, "fp32", None, say) if possible.is_weights(spec) else spec


def _with_runtime(spec: ModelSpec) -> ModelSpec:
    return msgspec.structs.replace(spec, runtime=spec.runtime or registry.for_format(spec.format))


def write(outcome: Outcome, target: Path, name: str) -> None:
    """Copies the derived model into a folder of its own, with the report in its manifest.

    Raises `ConfigError` when something is there that is no model folder.
    """
    manifest = read_manifest(outcome.folder)
    report: dict[str, Any] = {**(manifest.report or {}), **msgspec.to_builtins(outcome.report)}
    version = f"{outcome.spec.version}-{manifest.precision}"[:128]
    with saving.replacing(target) as folder:
        for file in outcome.folder.iterdir():
            if file.name != MANIFEST:
                shutil.copyfile(file, folder / file.name)
        saving.write_manifest(folder, msgspec.structs.replace(manifest, name=name, version=version, report=report))


# --- the report


def _report(wish: Wish, before: ModelSpec, after: ModelSpec, measured: Measured) -> Report:
    made = after.details.get("report") or {}
    return Report(
        precision=wish.precision,
        method=str(made.get("method", "")),
        before=f"{before.precision or 'original'} on {_engine(before)}",
        size=Size(before=bytes_of(before), after=bytes_of(after)),
        measured=measured,
        processor=f"{machine.processor()}, {machine.cores()} cores, {platform.system()}",
        measured_at=saving.now(),
    )


def _engine(spec: ModelSpec) -> str:
    """What runs a version, for people."""
    name = choose(spec, msgspec.convert(spec.options, TextModel)) if spec.runtime == "text" else spec.runtime
    return {"openvino": "OpenVINO", "onnx": "ONNX Runtime", "onnxruntime": "ONNX Runtime"}.get(name, name)


def bytes_of(spec: ModelSpec) -> int:
    """Bytes of a model's own files: the graph and its weights."""
    path = Path(spec.path)
    beside = [path.with_suffix(".bin")] if spec.format == "openvino" else []
    if spec.format == "onnx":
        beside = [path.parent / name for name in external_data.locations(path.read_bytes())]
    return sum(file.stat().st_size for file in (path, *beside) if file.is_file())
