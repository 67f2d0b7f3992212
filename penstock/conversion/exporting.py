"""From a network to an ONNX graph with open rows and lengths, which answers as the network does."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from penstock.conversion.networks import SUPPORTED, Network
from penstock.core.errors import ModelFileError
from penstock.core.tensors import Array
from penstock.runtimes.text.engines.contract import Engine

OPSET = 17
TOLERANCE = 1e-4
"""The largest difference from torch, relative to the largest answer; converted in fp32, 1e-6 is usual."""
_ROWS, _LENGTH = "rows", "tokens"
# Rows and tokens of the inputs that are compared: not the traced shape, short, long, uneven, and at the limit.
_SHAPES = ((1, 3), (2, 8), (3, 33), (4, 17), (2, 100), (1, 300), (1, 512))
LENGTHS = tuple(length for _, length in _SHAPES)
_TRACED = (2, 9)
_PADDED = (3, 21)


def export(network: Network, target: Path) -> str:
    """Writes the graph; returns the exporter's name. Raises `ModelFileError` naming the architecture."""
    inputs = _example(network)
    reasons: list[str] = []
    for name, exporter in _EXPORTERS.items():
        if name == "dynamo" and importlib.util.find_spec("onnxscript") is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exporter(network, inputs, target)
            return name
        except Exception as error:
            reasons.append(f"{name}: {type(error).__name__}: {error}")
    raise refused(network, "torch cannot export it to ONNX", detail="\n".join(reasons))


def refused(network: Network, why: str, detail: str | None = None) -> ModelFileError:
    """The refusal of an architecture."""
    name = type(network.module).__name__
    return ModelFileError(
        f"{name} cannot be converted: {why}; these are known to work: {SUPPORTED}; or put an ONNX export of the model "
        "(model.onnx) into the folder",
        detail=detail,
    )


def _example(network: Network) -> tuple[Any, ...]:
    import torch

    ids, mask = drawn(network, *_TRACED)
    arrays = (ids, mask, np.zeros_like(ids))[: len(network.inputs)]
    return tuple(torch.from_numpy(array) for array in arrays)


def drawn(network: Network, rows: int, length: int) -> tuple[Array, Array]:
    """Token ids and mask [rows, length]; every row but the first ends in padding."""
    random = np.random.default_rng(rows * 1000 + length)
    choices = np.setdiff1d(np.arange(network.known), [network.padding])
    ids = random.choice(choices, (rows, length)).astype(np.int64)
    mask = np.ones_like(ids)
    for row in range(1, rows):
        mask[row, max(1, length - row * length // (rows + 1)) :] = 0
    return np.where(mask == 1, ids, network.padding), mask


def _by_tracing(network: Network, inputs: tuple[Any, ...], target: Path) -> None:
    import torch

    axes = {name: {0: _ROWS, 1: _LENGTH} for name in network.inputs}
    axes[network.output] = {0: _ROWS, 1: _LENGTH} if _by_token(network, inputs) else {0: _ROWS}
    with torch.no_grad():
        torch.onnx.export(
            network.wrapped(), inputs, str(target), input_names=list(network.inputs), output_names=[network.output],
            dynamic_axes=axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def _by_dynamo(network: Network, inputs: tuple[Any, ...], target: Path) -> None:
    import torch

    sizes = {0: torch.export.Dim(_ROWS), 1: torch.export.Dim(_LENGTH, min=2)}
    with torch.no_grad():
        torch.onnx.export(
            network.wrapped(), inputs, str(target), input_names=list(network.inputs), output_names=[network.output],
            dynamic_shapes=((sizes,) * len(inputs),), opset_version=18, dynamo=True,
        )  # fmt: skip


_EXPORTERS = {"tracing": _by_tracing, "dynamo": _by_dynamo}


def _by_token(network: Network, inputs: tuple[Any, ...]) -> bool:
    """Whether the answer has the length of the input as its second axis."""
    arrays = [array.numpy() for array in inputs]
    return network.run(arrays[0], arrays[1]).ndim == 3


def agreement(network: Network, engine: Engine, longest: int) -> dict[str, float]:
    """How far the engine's answers are from torch's. Raises `ModelFileError` with the numbers when too far.

    A trace keeps the decisions that the network took for one shape; other rows, lengths and paddings show whether
    it took any. `longest`: tokens that the model reads at most.
    """
    _check_padding(network)
    worst, shapes = 0.0, 0
    for rows, length in _SHAPES:
        if length > longest:
            continue
        ids, mask = drawn(network, rows, length)
        ours, theirs = network.run(ids, mask), _answer(engine, ids, mask, network)
        if theirs.shape != ours.shape:
            raise refused(network, f"for {rows} rows of {length} tokens it answers {theirs.shape}, torch {ours.shape}")
        difference = _difference(ours, theirs, mask)
        if not difference <= TOLERANCE:
            raise refused(
                network,
                f"for {rows} rows of {length} tokens its answers are {difference:.2g} away from torch's, relative to "
                f"the largest; allowed is {TOLERANCE:g}",
            )
        worst, shapes = max(worst, difference), shapes + 1
    return {"shapes": shapes, "difference_max": worst}


def _check_padding(network: Network) -> None:
    """Raises `ModelFileError` when what a row is padded with changes its answer: rows of requests share batches."""
    ids, mask = drawn(network, *_PADDED)
    for row, answer in enumerate(network.run(ids, mask)):
        real = int(mask[row].sum())
        alone = network.run(ids[row : row + 1, :real], mask[row : row + 1, :real])[0]
        padded = answer[:real] if alone.ndim == 2 else answer
        difference = _difference(alone[None], padded[None], np.ones((1, real)))
        if not difference <= TOLERANCE:
            much = f"by {difference:.2g}, relative to the largest"
            raise refused(network, f"padding changes its answers ({much}): it obeys no attention mask")


def _answer(engine: Engine, ids: Array, mask: Array, network: Network) -> Array:
    try:
        return engine.run(ids, mask, None)
    except Exception as error:
        rows, length = ids.shape
        why = f"its graph does not run for {rows} rows of {length} tokens"
        raise refused(network, why, detail=str(error)) from error


def _difference(ours: Array, theirs: Array, mask: Array) -> float:
    """The largest difference at real tokens, relative to the largest value."""
    if ours.ndim == 3:
        ours, theirs = ours[mask == 1], theirs[mask == 1]
    return float(np.abs(ours - theirs).max()) / (float(np.abs(ours).max()) or 1.0)
