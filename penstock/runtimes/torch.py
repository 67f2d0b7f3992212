"""PyTorch: torch.export and TorchScript files, and pickled modules; on the CPU or a CUDA device.

All of them need trust. PyTorch's own policy calls TorchScript code to be run only from known hands;
torch.export files name the functions to call and hold pickles; a pickled module is Python's pickle.
"""

from __future__ import annotations

import inspect
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.core.errors import BadInput, ConfigError, MissingExtra, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array
from penstock.runtimes import classes, examples, torch_export
from penstock.runtimes.contract import Saved
from penstock.runtimes.files import read_trusted
from penstock.runtimes.shapes import Arrays, as_asked, empty_outputs, native_example, no_rows, with_outputs


class TorchRuntime:
    """Runs one module. Inputs are named as in its forward; one output is "output", several "output_0" and on.

    BF16 outputs are answered as FP32.
    """

    borrows = False

    def __init__(self) -> None:
        self.call: Callable[[list[Any]], Any] = lambda tensors: tensors
        self.signature = Signature(())
        self._device = "cpu"

    def load(self, spec: ModelSpec) -> Signature:
        """Reads the file that somebody vouched for, onto the device."""
        classes.check_no_classifier(spec.output)
        data = read_trusted(spec, "a PyTorch file")
        torch = _torch()
        torch.set_num_threads(spec.threads)
        self._device = choose_device(spec.device)
        if spec.format == "torch-export":
            signature = as_asked(self._load_export(data), spec)
        else:
            module = self._load_module(data, spec.format)
            known = spec.signature or Signature(infer_inputs(forward_names(module), native_example(spec)))
            signature = as_asked(known, spec)
        self.signature = signature
        if not signature.outputs:
            self.signature = with_outputs(signature, self._run, spec)
        return self.signature

    def _load_export(self, data: bytes) -> Signature:
        program = torch_export.open_program(data, self._device)
        self.call = torch_export.caller(program)
        return torch_export.signature(program)

    def _load_module(self, data: bytes, format: str) -> Any:
        module = open_script(data, self._device) if format == "torchscript" else open_pickled(data, self._device)
        module.eval()
        self.call = lambda tensors: module(*tensors)
        return module

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        return empty_outputs(self.signature) if no_rows(self.signature, inputs) else self._run(inputs)

    def _run(self, inputs: Arrays) -> Arrays:
        torch = _torch()
        with torch.inference_mode():
            specs = self.signature.inputs
            tensors = [torch_export.to_tensor(inputs[spec.name], spec.datatype, self._device) for spec in specs]
            return torch_export.named(self.call(tensors))


def _torch() -> Any:
    import torch

    return torch


def choose_device(device: str) -> str:
    """ "auto" is CUDA where there is one. Raises `ModelFileError` when CUDA is asked for and absent."""
    torch = _torch()
    if device == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda" if device == "auto" else device
    if device == "auto":
        return "cpu"
    raise ModelFileError(f"device {device} cannot be used: this PyTorch ({torch.__version__}) finds no CUDA device")


def open_script(data: bytes, device: str) -> Any:
    """A TorchScript module."""
    torch = _torch()
    try:
        with warnings.catch_warnings():
            # That TorchScript is going away is for whoever writes the file, not for who serves it.
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(io.BytesIO(data), map_location=device)
    except Exception as error:
        raise torch_export.unreadable("TorchScript", error) from error


def open_pickled(data: bytes, device: str) -> Any:
    """A module that torch.save pickled. Raises `ModelFileError` when the file holds weights alone."""
    torch = _torch()
    try:
        found = torch.load(io.BytesIO(data), map_location=device, weights_only=False)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the file needs the module {error.name}, which is not installed here") from error
    except Exception as error:
        raise torch_export.unreadable("pickled", error) from error
    if not isinstance(found, torch.nn.Module):
        raise ModelFileError(
            f"the file holds {type(found).__qualname__}, not a module: weights without the network. Load them into the "
            "network in Python and pass that to penstock.save(module, path, example=...)"
        )
    return found


def forward_names(module: Any) -> list[str]:
    """The names of forward's inputs."""
    schema = getattr(getattr(module, "forward", None), "schema", None)
    if schema is not None:
        return [argument.name for argument in schema.arguments if argument.name != "self"]
    return [p.name for p in inspect.signature(module.forward).parameters.values() if p.default is p.empty]


def infer_inputs(names: Sequence[str], example: Any) -> tuple[TensorSpec, ...]:
    """Inputs of a module whose file does not hold their shapes. Raises `ModelFileError` without an example."""
    if example is None:
        raise ModelFileError(
            "a TorchScript or pickled module does not say what it takes; give a row or two of input as example, "
            "or save it with torch.export"
        )
    return examples.inputs_of(named_example(names, example))


def named_example(names: Sequence[str], example: Any) -> Arrays:
    """An example by forward's names: an array for one input, a tuple of arrays or a dict for several.

    FP64, which modules seldom hold, becomes FP32.
    """
    if isinstance(example, tuple) and len(names) > 1:
        arrays = {name: examples.to_array(value, name) for name, value in zip(names, example, strict=False)}
    else:
        arrays = examples.arrays_of(example)
    if list(arrays) == [examples.INPUT] and names:
        arrays = {names[0]: arrays[examples.INPUT]}
    if any(array.dtype == object for array in arrays.values()):
        raise BadInput("torch modules take numbers, and the example holds text")
    return {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}


def accepts(obj: object) -> bool:
    """Modules, scripted modules, exported programs."""
    return hasattr(obj, "state_dict") and (hasattr(obj, "forward") or hasattr(obj, "graph_signature"))


def save(obj: Any, folder: Path, example: Any) -> Saved:
    """Writes model.pt2 with torch.export, the batch size left open; TorchScript modules as model.pt.

    A module that torch.export cannot take is traced into TorchScript instead, with a warning.
    Raises `ConfigError` without an example, `ModelFileError` when the module cannot be written.
    """
    torch = _torch()
    if hasattr(obj, "graph_signature"):
        torch.export.save(obj, folder / "model.pt2")
        return _saved("model.pt2", "torch-export", torch_export.signature(obj))
    if example is None:
        raise ConfigError("a torch module needs an example: penstock.save(module, path, example=x[:2])")
    arrays = named_example(forward_names(obj), example)
    if isinstance(obj, torch.jit.ScriptModule):
        obj.save(str(folder / "model.pt"))
        return _saved("model.pt", "torchscript", Signature(examples.inputs_of(arrays)))
    file, format = torch_export.write(obj, folder, list(arrays.values()))
    return _saved(file, format, None if format == "torch-export" else Signature(examples.inputs_of(arrays)))


def _saved(file: str, format: str, signature: Signature | None) -> Saved:
    signature = None if signature is None else msgspec.structs.replace(signature, outputs=())
    return Saved(
        file=file,
        runtime="torch",
        format=format,
        signature=signature,
        runs_code=True,
        libraries={"torch": str(_torch().__version__)},
    )
