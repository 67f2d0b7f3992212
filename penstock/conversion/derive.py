"""Derived models: made once from a source, kept in the model cache, found again by what they were made from."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.conversion import child, keys, possible
from penstock.conversion.jobs import Convert, Engine, Made, Sample
from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.text import Precision
from penstock.repository import cache, saving, sources
from penstock.repository.manifest import Manifest
from penstock.repository.trust import digest_of
from penstock.runtimes import registry

# Times the size of the source: the exported graph, the derived model, and the fp32 one that it is made from.
_ROOM = 3
_CHOSEN = ("tokenizer", "inference", "dynamic_quantization", "engine")
Say = Callable[[str], None]


def derived(spec: ModelSpec, precision: Precision | None, sample: Sample | None, say: Say) -> Path:
    """The folder of a source in a precision, made if it is not there yet. None: fp32.

    `sample`: rows to calibrate int8 on. Raises `ModelFileError` for what cannot be converted, `MissingExtra` when the
    libraries for it lack, `ConfigError` for settings that do not fit.
    """
    wanted = precision or "fp32"
    possible.check(spec, wanted, sample)
    engine = possible.engine_for(spec, wanted)
    key = keys.key_of(spec, wanted, engine, sample)
    return cache.stored(key, lambda folder: _make(spec, folder, wanted, engine, sample, say))


def resolved(spec: ModelSpec, precision: Precision | None, sample: Sample | None, say: Say,
             given: Mapping[str, Any] | None = None) -> ModelSpec:  # fmt: skip
    """The spec of the derived model; one that is damaged by now is made anew. `given`: options of the person."""
    wanted = precision or "fp32"
    try:
        made = _read(derived(spec, precision, sample, say))
    except ModelFileError as error:
        key = keys.key_of(spec, wanted, possible.engine_for(spec, wanted), sample)
        if cache.derived(key) is None:
            raise
        say(f"the converted {spec.name} is damaged ({error.message}), so it is made anew")
        cache.discard(key)
        made = _read(derived(spec, precision, sample, say))
    return _as_described(made, spec, given or {})


def _read(folder: Path) -> ModelSpec:
    return sources.resolve(str(folder))


def _as_described(made: ModelSpec, spec: ModelSpec, given: Mapping[str, Any]) -> ModelSpec:
    """What was made, with everything that the source and the person say about it."""
    said = {key: value for key, value in spec.options.items() if key not in _CHOSEN} if spec.runtime == "text" else {}
    kept = ("name", "version", "batched", "device", "threads", "example", "classes", "output", "signature")
    options = {**made.options, **said, **{key: value for key, value in given.items() if key != "file"}}
    details = {**spec.details, **made.details}
    return msgspec.structs.replace(made, options=options, details=details, **{key: getattr(spec, key) for key in kept})


# --- making it


def _make(spec: ModelSpec, folder: Path, precision: Precision, engine: Engine, sample: Sample | None, say: Say) -> None:
    possible.check_installed(spec, precision)
    _check_room(spec, folder)
    # Weights become a graph once; every other precision is made from that.
    graph = resolved(spec, "fp32", None, say) if possible.is_weights(spec) and precision != "fp32" else spec
    title = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}[engine]
    say(f"converting {spec.name} to {precision} for {title}, once")
    began = time.perf_counter()
    runtime = spec.runtime or registry.for_format(spec.format)
    job = Convert(
        spec=msgspec.structs.replace(graph, runtime=runtime),
        folder=str(folder),
        precision=precision,
        engine=engine,
        sample=sample,
    )
    done = child.run(job, f"{spec.name} cannot be converted", lambda step: None)
    if done.made is None:
        raise ModelFileError(f"{spec.name} cannot be converted: the converter made nothing")
    saving.write_manifest(folder, _manifest(spec, folder, precision, done.made))
    say(f"converted {spec.name} in {time.perf_counter() - began:.0f} s{_kept(done.made)}")


def _check_room(spec: ModelSpec, folder: Path) -> None:
    """Raises `SetupError` unless the disk has room for the model and the graph that it is made from."""
    path = Path(spec.path)
    files = path.glob("*.safetensors") if path.is_dir() else (path, path.with_suffix(".bin"))
    size = sum(file.stat().st_size for file in files if file.is_file())
    if shutil.disk_usage(folder).free < _ROOM * size:
        raise cache.disk_full()


def _kept(made: Made) -> str:
    """How close its answers stayed, where that was looked at."""
    close = made.notes.get("closeness")
    if close is None:
        return ""
    median = f"{close['cosine_median']:.4f} (median of {close['texts']:.0f} general texts of ours)"
    return f"; its answers' cosine similarity to fp32's is {median}"


def _manifest(spec: ModelSpec, folder: Path, precision: Precision, made: Made) -> Manifest:
    said = {"name": spec.name, "version": spec.version, "output": spec.output, "example": spec.example}
    return Manifest(
        **said,  # type: ignore[arg-type]
        runtime=made.runtime,
        format=made.format,
        file=made.file,
        sha256=digest_of(folder / made.file),
        files={name: digest_of(folder / name) for name in made.files},
        signature=spec.signature,
        classes=spec.classes,
        created_at=saving.now(),
        libraries=made.libraries,
        options=made.options,
        precision=precision,
        derived_from={
            "sha256": keys.digest_of_source(spec),
            "format": spec.format,
            "converter": str(keys.CONVERTER),
        },
        report={"method": made.method, **made.notes},
    )
