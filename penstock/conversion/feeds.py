"""Inputs of a network, as its engine takes them: to calibrate on, and to compare answers by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.conversion import data
from penstock.conversion.jobs import Sample
from penstock.conversion.sentences import TEXTS
from penstock.core import text as words
from penstock.core.errors import BadRows, ConfigError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Array, bytes_array
from penstock.core.text import TextModel
from penstock.runtimes import openvino, registry
from penstock.runtimes.text.engines.choice import open_engine
from penstock.runtimes.text.engines.contract import Engine
from penstock.runtimes.text.engines.feed import Feed as Feeding
from penstock.runtimes.text.padding import padded
from penstock.runtimes.text.plan import Micro
from penstock.runtimes.text.reading import Reader
from penstock.runtimes.text.tokenizer import Tokenizer, open_tokenizer

Feed = dict[str, Array]
OWN = "texts of our own (synthetic data)"
RANDOM = "random numbers (synthetic data)"
_RANDOM_ROWS = 256
_TOGETHER = 8
_VARIABLE = 16


def engine(graph: ModelSpec, model: TextModel, padding: int) -> Engine:
    """The engine that will serve the graph, with the graph in it."""
    return open_engine(msgspec.structs.replace(graph, device="cpu"), model, padding)


# --- text models


def texts(graph: ModelSpec, model: TextModel, sample: Sample | None) -> list[Feed]:
    """One input per row of a sample, or per text of our own, as long as the row is. Raises `ConfigError`."""
    feeding = Feeding(_ports(graph), model.architecture, tokenizer_of(model).pad)
    return [feeding(*row) for row in tokens(model, sample)[: data.MAX_CALIBRATION]]


def tokens(model: TextModel, sample: Sample | None) -> list[tuple[Array, Array, Array | None]]:
    """Ids, mask and types [1, length] of every row of a sample, or of every text of our own; too long ones are cut."""
    tokenizer = tokenizer_of(model)
    inputs = own(model, tokenizer) if sample is None else data.read(sample, signature_of(model)).inputs
    reading = msgspec.structs.replace(model, truncate=True)
    reader = Reader(tokenizer, reading, pairs=model.task == "reranking", places=False)
    try:
        rows = reader.read(inputs)
    except BadRows as error:
        raise _bad(sample, error) from error
    return [padded((row,), Micro((0,), 1, len(row.ids)), tokenizer.pad) for row in rows]


def tokenizer_of(model: TextModel) -> Tokenizer:
    """The tokenizer of a model that names it by its absolute path."""
    return open_tokenizer(Path(model.tokenizer), model.vocab_size, model.padding)


def _bad(sample: Sample | None, error: BadRows) -> ConfigError:
    number, reason = next(iter(error.reasons.items()))
    where = (
        "a text of our own" if sample is None else f"{Path(sample.file).name}: row {number} of those that were drawn"
    )
    return ConfigError(f"{where}: {reason}")


def signature_of(model: TextModel) -> Signature:
    """What data for a text model may hold."""
    pair = TensorSpec(words.PAIR, "BYTES", (-1,), optional=model.task != "reranking")
    return Signature((TensorSpec(words.TEXT, "BYTES", (-1,)), pair), task=model.task)


def own(model: TextModel, tokenizer: Tokenizer) -> Feed:
    """Our own texts as the task takes them: a reranker gets pairs, a masked model a mask in each."""
    inputs = {words.TEXT: bytes_array(list(TEXTS))}
    if model.task == "fill-mask" and tokenizer.mask is not None:
        inputs[words.TEXT] = bytes_array([_masked(text, tokenizer.mask[1]) for text in TEXTS])
    if model.task == "reranking":
        inputs[words.PAIR] = bytes_array([*TEXTS[7:], *TEXTS[:7]])
    return inputs


def _masked(text: str, mask: str) -> str:
    """The text with a mask in place of an early word, so that no cut loses it."""
    parts = text.split()
    parts[min(2, len(parts) - 1)] = mask
    return " ".join(parts)


def _ports(graph: ModelSpec) -> dict[str, np.dtype[Any]]:
    """The inputs of a graph by name, and their types."""
    if graph.format == "onnx":
        return _onnx_ports(graph.path)
    model = openvino.read_model(graph)
    return {openvino.name_of(port): np.dtype(port.get_element_type().to_dtype()) for port in model.inputs}


def _onnx_ports(path: str) -> dict[str, np.dtype[Any]]:
    import onnx

    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}
    of = onnx.helper.tensor_dtype_to_np_dtype
    return {port.name: of(port.type.tensor_type.elem_type) for port in model.graph.input if port.name not in weights}


# --- models of any kind


def rows(spec: ModelSpec, sample: Sample) -> list[Feed]:
    """Rows of a sample, several at a time where the model takes several. Raises `ConfigError`."""
    signature = signature_by_runtime(spec)
    found = data.read(sample, signature)
    few = {name: array[: data.MAX_CALIBRATION] for name, array in found.inputs.items()}
    return list(batches(few, signature, _TOGETHER))


def signature_by_runtime(spec: ModelSpec) -> Signature:
    """The signature that a model's own runtime reads from its file."""
    return registry.create(spec.runtime).load(spec)


def batches(inputs: Feed, signature: Signature, size: int) -> Iterator[Feed]:
    """Rows in pieces that the model takes: as many as it wants at a time, or one without the axis of rows."""
    count = len(next(iter(inputs.values())))
    if not signature.batched:
        for row in range(count):
            yield {name: array[row] for name, array in inputs.items()}
        return
    step = signature.fixed_rows or size
    for start in range(0, count, step):
        piece = {name: array[start : start + step] for name, array in inputs.items()}
        yield piece if not signature.fixed_rows else {name: _filled(array, step) for name, array in piece.items()}


def _filled(array: Array, rows: int) -> Array:
    """Exactly so many rows: the last one again and again."""
    return array[np.minimum(np.arange(rows), len(array) - 1)]


def random(spec: ModelSpec) -> list[Feed]:
    """Random inputs by the signature that the model's runtime reads."""
    signature = signature_by_runtime(spec)
    return list(batches(drawn(signature), signature, _TOGETHER))


def drawn(signature: Signature) -> Feed:
    """Random rows: standard normal numbers, small whole numbers, the letter "a" for text; always the same."""
    source = np.random.default_rng(0)
    return {spec.name: _drawn(spec, signature.batched, source) for spec in signature.inputs}


def _drawn(spec: TensorSpec, batched: bool, source: np.random.Generator) -> Array:
    rest = spec.shape[1:] if batched else spec.shape
    shape = (_RANDOM_ROWS, *(_VARIABLE if size == -1 else size for size in rest))
    if spec.datatype == "BYTES":
        return np.full(shape, b"a", dtype=object)
    if spec.datatype.startswith("FP"):
        return source.standard_normal(shape).astype(DTYPES[spec.datatype])
    return source.integers(0, 2, shape).astype(DTYPES[spec.datatype])
