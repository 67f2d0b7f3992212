"""torch.export programs: reading, their signature, calling, and writing with an open batch size."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Array
from penstock.runtimes.shapes import Arrays, by_first_axis

log = logging.getLogger("penstock.runtimes.torch")
OUTPUT = "output"


def open_program(data: bytes, device: str) -> Any:
    """An exported program on a device. Raises `ModelFileError` when torch cannot read it."""
    import torch

    try:
        program = torch.export.load(io.BytesIO(data))
        if device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
    except Exception as error:
        raise unreadable("torch.export", error) from error
    return program


def unreadable(kind: str, error: Exception) -> ModelFileError:
    """The refusal of a file that torch could not read."""
    import torch

    reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    text = f"PyTorch {torch.__version__} cannot read the {kind} file: it is damaged, or of another version"
    return ModelFileError(text, detail=reason)


def caller(program: Any) -> Callable[[list[Any]], Any]:
    """A function of the program's inputs in order, whatever its call convention."""
    from torch.utils._pytree import tree_unflatten

    module, spec = program.module(), program.call_spec.in_spec

    def call(tensors: list[Any]) -> Any:
        args, kwargs = tree_unflatten(tensors, spec)
        return module(*args, **kwargs)

    return call


def signature(program: Any) -> Signature:
    """Inputs and outputs with their shapes; sizes that torch left open are -1."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [_spec(name, values.get(name)) for name in program.graph_signature.user_inputs]
    produced = [values.get(name) for name in program.graph_signature.user_outputs]
    outputs = [_spec(name, value, True) for name, value in zip(_names(produced), produced, strict=True)]
    return by_first_axis(inputs, outputs) if all(outputs) else Signature(tuple(inputs))


def _names(outputs: Sequence[object]) -> list[str]:
    return [OUTPUT] if len(outputs) == 1 else [f"{OUTPUT}_{index}" for index in range(len(outputs))]


def _spec(name: str, value: Any, output: bool = False) -> TensorSpec:
    if not hasattr(value, "shape"):
        raise ModelFileError(f"{name!r} of the exported program is no tensor; export it with tensors in and out")
    datatype = _datatypes().get(value.dtype)
    if datatype is None:
        raise ModelFileError(f"{name!r} of the exported program is {value.dtype}, which has no datatype on the wire")
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return TensorSpec(name, "FP32" if output and datatype == "BF16" else datatype, shape)


def _datatypes() -> dict[Any, str]:
    import torch

    names = {name: str(dtype) for name, dtype in DTYPES.items() if name not in ("BYTES", "BF16")}
    return {getattr(torch, text): name for name, text in names.items()} | {torch.bfloat16: "BF16"}


def to_tensor(array: Array, datatype: str, device: str) -> Any:
    """An array as a tensor on the device. Arrays over received bytes are read-only, which torch cannot hold."""
    import torch

    if not array.flags.writeable:
        array = array.copy()
    if datatype == "BF16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).to(device)
    return torch.from_numpy(array).to(device)


def named(result: Any) -> Arrays:
    """A module's answer as arrays by name. Raises `ModelFileError` for what is no tensor."""
    if isinstance(result, Mapping):
        return {str(name): to_numpy(value) for name, value in result.items()}
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    return {name: to_numpy(value) for name, value in zip(_names(values), values, strict=True)}


def to_numpy(value: Any) -> Array:
    """A tensor as an array on the CPU; BF16 as FP32."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise ModelFileError(f"the module answers a {type(value).__qualname__}; it must answer tensors")
    value = value.float() if value.dtype == torch.bfloat16 else value
    array: Array = value.detach().cpu().numpy()
    return array


def write(module: Any, folder: Path, arrays: Sequence[Array]) -> tuple[str, str]:
    """Writes a module, in evaluation mode, with an open batch size; returns the file's name and format."""
    import torch

    module = copy.deepcopy(module).cpu().eval()
    tensors = tuple(_example_tensor(module, array) for array in arrays)
    batch = torch.export.Dim("batch")
    try:
        with torch.no_grad():
            program = torch.export.export(module, tensors, dynamic_shapes=({0: batch},) * len(tensors))
        torch.export.save(program, folder / "model.pt2")
    except Exception as error:
        (folder / "model.pt2").unlink(missing_ok=True)
        return _trace(module, folder, tensors, error)
    return "model.pt2", "torch-export"


def _example_tensor(module: Any, array: Array) -> Any:
    """At least two rows: torch.export takes a size of one for a constant."""
    import torch

    tensor = torch.from_numpy(np.concatenate([array, array]) if len(array) < 2 else array.copy())
    floats = [p.dtype for p in module.parameters() if p.is_floating_point()]
    return tensor.to(floats[0]) if floats and tensor.is_floating_point() else tensor


def _trace(module: Any, folder: Path, tensors: Sequence[Any], error: Exception) -> tuple[str, str]:
    import torch

    jit: Any = torch.jit
    reason = str(error).strip().partition("\n")[0][:200]
    log.warning(
        "torch.export cannot take this module with an open batch size (%s: %s); it is traced into TorchScript "
        "instead, which fixes the branches that the example took", type(error).__name__, reason,
    )  # fmt: skip
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            jit.trace(module, tuple(tensors)).save(str(folder / "model.pt"))
    except Exception as failure:
        raise ModelFileError(f"the module can be neither exported nor traced: {failure}"[:500]) from failure
    return "model.pt", "torchscript"
