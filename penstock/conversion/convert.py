"""Inside the converter's process: from a source to the files of a derived model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from penstock.conversion import exporting, feeds, graphs, irs, networks, possible
from penstock.conversion.closeness import closeness
from penstock.conversion.jobs import Convert, Made
from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.text import TextModel
from penstock.repository import architectures, huggingface
from penstock.runtimes import openvino

Say = Callable[[str], None]
GRAPH, TOKENIZER = "model.onnx", "tokenizer.json"


def convert(job: Convert, say: Say) -> Made:
    """Does the work. Raises `ModelFileError` for what cannot be converted, `MissingExtra` for what lacks."""
    made = _text(job, say) if job.spec.runtime == "text" else _any(job, say)
    return msgspec.structs.replace(made, libraries=_libraries())


# --- text models


def _text(job: Convert, say: Say) -> Made:
    model = msgspec.convert(job.spec.options, TextModel)
    tokenizer = (_folder(job.spec) / model.tokenizer).absolute()
    model = msgspec.structs.replace(model, tokenizer=str(tokenizer))
    # In the job's own folder, which the cache clears when this process is killed.
    with tempfile.TemporaryDirectory(dir=job.folder, prefix=".exporting-") as scratch:
        graph, notes = _graph(job, model, Path(scratch), say)
        made = _written(job, model, graph, say)
        if job.precision != "fp32":
            say("comparing its answers with those in fp32")
            notes["closeness"] = closeness(graph, _of(made, job), model)
    shutil.copyfile(tokenizer, Path(job.folder) / TOKENIZER)
    options = {**msgspec.to_builtins(model), **made.options, "tokenizer": TOKENIZER, "engine": "auto"}
    return msgspec.structs.replace(made, runtime="text", files=(*made.files, TOKENIZER), options=options, notes=notes)


def _graph(job: Convert, model: TextModel, scratch: Path, say: Say) -> tuple[ModelSpec, dict[str, Any]]:
    """The source as a graph, and what is worth telling of how it became one."""
    if not possible.is_weights(job.spec):
        return job.spec, {}
    say("reading the weights")
    network = networks.load(job.spec, model)
    say("exporting to ONNX")
    exporter = exporting.export(network, scratch / GRAPH)
    graph = msgspec.structs.replace(job.spec, path=str(scratch / GRAPH), format="onnx", sha256=None)
    say("comparing its answers with torch's")
    # As far as the network reads, whatever a person asked for: others will be served from the same files.
    longest = architectures.longest(huggingface.read_config(Path(job.spec.path))) or max(exporting.LENGTHS)
    plain = msgspec.structs.replace(model, engine=job.engine, inference="f32", dynamic_quantization=0)
    engine = feeds.engine(graph, plain, network.padding)
    return graph, {"exporter": exporter, "agreement": exporting.agreement(network, engine, longest)}


def _written(job: Convert, model: TextModel, graph: ModelSpec, say: Say) -> Made:
    """The graph in the job's precision, for the job's engine."""
    say(_doing(job))
    calibration = feeds.texts(graph, model, job.sample) if job.sample is not None else []
    if job.engine == "openvino":
        trial = feeds.texts(graph, model, None) if job.precision == "int4" else []
        return _ir(job, lambda: _readable(graph), calibration, trial)
    method = graphs.write(Path(graph.path), Path(job.folder) / GRAPH, job.precision, calibration)
    options = {"inference": "f32", "dynamic_quantization": 0}
    return Made(file=GRAPH, format="onnx", runtime="text", options=options, method=method)


def _readable(graph: ModelSpec) -> Any:
    """The graph as OpenVINO reads it; what it cannot read, ONNX Runtime may."""
    try:
        return openvino.read_model(graph)
    except ModelFileError as error:
        hint = f"{error.message}; options: {{engine: onnxruntime}} converts it for ONNX Runtime instead"
        raise ModelFileError(hint, detail=error.detail) from error


def _ir(job: Convert, read: Callable[[], Any], calibration: Sequence[feeds.Feed], trial: Sequence[feeds.Feed]) -> Made:
    recipe = irs.prepare(read, job.precision, calibration, trial, transformer=job.spec.runtime == "text")
    file, weights = irs.save(recipe, Path(job.folder))
    options = {"inference": recipe.inference, "dynamic_quantization": recipe.dynamic_quantization}
    return Made(
        file=file, format="openvino", runtime="openvino", files=(weights,), options=options, method=recipe.method
    )


def _of(made: Made, job: Convert) -> ModelSpec:
    """The spec of what was written."""
    path = str(Path(job.folder) / made.file)
    return msgspec.structs.replace(
        job.spec, path=path, format=made.format, sha256=None, options={**job.spec.options, **made.options}
    )


def _doing(job: Convert) -> str:
    return "writing it" if job.precision == "fp32" else f"turning it into {job.precision}"


def _folder(spec: ModelSpec) -> Path:
    path = Path(spec.path)
    return path if path.is_dir() else path.parent


# --- ONNX and IR files of any kind


def _any(job: Convert, say: Say) -> Made:
    say(_doing(job))
    calibration = feeds.rows(job.spec, job.sample) if job.sample is not None else []
    if job.engine == "openvino":
        trial = feeds.random(job.spec) if job.precision == "int4" else []
        made = _ir(job, lambda: openvino.read_model(job.spec), calibration, trial)
        kept = {key: value for key, value in made.options.items() if key == "inference"}
        return msgspec.structs.replace(made, options=kept)
    if job.spec.format != "onnx":
        raise ModelFileError(f"ONNX Runtime does not read {job.spec.format} files")
    method = graphs.write(Path(job.spec.path), Path(job.folder) / GRAPH, job.precision, calibration)
    return Made(file=GRAPH, format="onnx", runtime="onnx", method=method)


def _libraries() -> dict[str, str]:
    """The versions of what may have taken part."""
    found = {}
    for name in ("torch", "transformers", "onnx", "onnxruntime", "openvino", "nncf"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
