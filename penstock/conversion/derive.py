"""Derived models: made once from a source, kept in the model cache, found again by what they were made from."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from penstock.conversion import child, data, machine
from penstock.conversion.jobs import Convert, Engine, Made, Sample
from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.text import Precision
from penstock.repository import cache, saving, sources
from penstock.repository.digests import source_digest
from penstock.repository.manifest import Manifest
from penstock.repository.trust import digest_of
from penstock.runtimes import external_data, registry

CONVERTER = 1
"""Raise it when the same source comes out differently, so that nothing old is served."""
_WEIGHTS = ("safetensors", "torch-pickle")
_GRAPHS = ("onnx", "openvino")
_EXACT = ("", "fp32", "fp16", "bf16")
# Whose versions decide how a derived model comes out.
_LIBRARIES = {"openvino": ("openvino", "nncf"), "onnxruntime": ("onnxruntime",)}
_EXPORTING = ("torch", "transformers", "safetensors", "onnx")
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
    check(spec, wanted, sample)
    engine = engine_for(spec, wanted)
    key = key_of(spec, wanted, engine, sample)
    return cache.stored(key, lambda folder: _make(spec, folder, wanted, engine, sample, say))


def resolved(spec: ModelSpec, precision: Precision | None, sample: Sample | None, say: Say,
             given: Mapping[str, Any] | None = None) -> ModelSpec:  # fmt: skip
    """The spec of the derived model; one that is damaged by now is made anew. `given`: options of the person."""
    try:
        made = _read(derived(spec, precision, sample, say))
    except ModelFileError as error:
        key = key_of(spec, precision or "fp32", engine_for(spec, precision or "fp32"), sample)
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


# --- what can be derived


def is_weights(spec: ModelSpec) -> bool:
    """Whether it is a text model's folder of weights, which no CPU engine runs as it is."""
    return spec.runtime == "text" and spec.format in _WEIGHTS


def check(spec: ModelSpec, precision: Precision, sample: Sample | None) -> None:
    """Raises `ConfigError` or `ModelFileError` for what no conversion can do, before anything is begun."""
    if not is_weights(spec) and spec.format not in _GRAPHS:
        raise ModelFileError(
            f"{spec.name} is a {spec.format} model, whose precision cannot be changed; export it to ONNX first "
            "(scikit-learn: skl2onnx, PyTorch: torch.onnx.export) and name the .onnx file"
        )
    if spec.precision not in _EXACT and spec.format in _GRAPHS and precision != spec.precision:
        raise ConfigError(f"{spec.name} is in {spec.precision} already; make {precision} from the original")
    if sample is not None:
        if precision != "int8":
            raise ConfigError(f"calibration is for precision: int8; {precision} takes no data")
        if spec.runtime == "text" and engine_for(spec, precision) == "onnxruntime":
            raise ConfigError(
                "calibrated int8 is for OpenVINO: on ONNX Runtime it costs transformers too much (a cosine similarity "
                "of 0.94 for MiniLM); leave the calibration out, or set engine: openvino"
            )
        data.check_file(Path(sample.file))


def engine_for(spec: ModelSpec, precision: Precision) -> Engine:
    """What will run the derived model: text on OpenVINO where it is installed, other files on what runs them now."""
    asked = spec.options.get("engine", "auto")
    if spec.runtime == "text":
        found = importlib.util.find_spec("openvino") is not None
        return "onnxruntime" if asked == "onnxruntime" or not (found or asked == "openvino") else "openvino"
    return "openvino" if spec.runtime == "openvino" or precision == "bf16" else "onnxruntime"


def missing(spec: ModelSpec, engine: Engine, precision: Precision) -> list[str]:
    """The libraries that a conversion needs and that are not installed."""
    needed = [engine, *(_EXPORTING if is_weights(spec) else ())]
    if engine == "openvino" and precision in ("int8", "int4"):
        needed.append("nncf")
    if engine == "onnxruntime":
        needed.extend(("onnx", "onnxscript") if precision == "int4" else ("onnx",))
    return [name for name in dict.fromkeys(needed) if importlib.util.find_spec(name) is None]


def check_installed(spec: ModelSpec, precision: Precision) -> None:
    """Raises `MissingExtra` when a conversion is needed and libraries for it lack."""
    lacking = missing(spec, engine_for(spec, precision), precision)
    if lacking:
        raise MissingExtra(
            f"{spec.name} has to be converted once, which needs the extra: pip install 'penstock[convert]' "
            f"({', '.join(lacking)} missing); a folder that penstock quantize wrote elsewhere serves without"
        )


# --- its place in the cache


def key_of(spec: ModelSpec, precision: Precision, engine: Engine, sample: Sample | None) -> str:
    """What a derived model is kept under: everything that decides how it comes out.

    Where the libraries that convert are not installed, one that others of their versions made is as good.
    """
    stable = _stable(spec, precision, engine, sample)
    key = f"{stable}-{_short(_versions(spec, engine))}"
    if cache.derived(key) is None and missing(spec, engine, precision):
        return next(iter(cache.keys(f"{stable}-")), key)
    return key


def _stable(spec: ModelSpec, precision: Precision, engine: Engine, sample: Sample | None) -> str:
    """The part of a key that does not change with the versions of libraries."""
    parts = {
        "source": source_digest(spec, _outside(spec)),
        "converter": CONVERTER,
        "task": spec.options.get("task", ""),
        "runtime": spec.runtime,
        "processor": machine.kind() if precision in ("bf16", "int8", "int4") else "",
        "data": "" if sample is None else [digest_of(Path(sample.file)), sample.part, sample.label],
    }
    return f"{_short(parts)}-{engine}-{precision}"


def _outside(spec: ModelSpec) -> set[str]:
    """The files that an ONNX file keeps weights in."""
    return external_data.locations(Path(spec.path).read_bytes()) if spec.format == "onnx" else set()


def _short(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:24]


def _versions(spec: ModelSpec, engine: Engine) -> dict[str, str]:
    names = (*_LIBRARIES[engine], *(_EXPORTING if is_weights(spec) else ()))
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# --- making it


def _make(spec: ModelSpec, folder: Path, precision: Precision, engine: Engine, sample: Sample | None, say: Say) -> None:
    check_installed(spec, precision)
    _check_room(spec, folder)
    # Weights become a graph once; every other precision is made from that.
    graph = resolved(spec, "fp32", None, say) if is_weights(spec) and precision != "fp32" else spec
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
    median = f"{close['cosine_median']:.4f} (median of {close['texts']:.0f} texts)"
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
            "sha256": source_digest(spec, _outside(spec)),
            "format": spec.format,
            "converter": str(CONVERTER),
        },
        report={"method": made.method, **made.notes},
    )
