"""Runtimes by name: which module runs what, and the extra to install. Heavy libraries load late."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.core.language import LanguageModel
from penstock.core.nearest import closest
from penstock.core.text import TextModel
from penstock.runtimes.contract import Engine, Runtime, Saver


class Entry(NamedTuple):
    """Where a runtime lives.

    `library`: what it needs to import; `extra`: what installs that. `platform`: how the Open
    Inference Protocol calls it. `formats`: what it serves by default, as the repository names them;
    `also`: what it reads when it is asked for by name. `options`: the names of its own settings.
    `cuda`: whether it can use a CUDA device. `engine`: whether it batches by itself (see `contract.Engine`).
    """

    name: str
    module: str
    runtime: str
    library: str | None
    extra: str
    platform: str
    formats: tuple[str, ...]
    also: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    cuda: bool = False
    engine: bool = False


_ENTRIES = (
    Entry("onnx", "penstock.runtimes.onnx", "OnnxRuntime", "onnxruntime", "onnx", "onnxruntime_onnx", ("onnx",),
          cuda=True),
    Entry("sklearn", "penstock.runtimes.sklearn", "SklearnRuntime", "sklearn", "sklearn", "sklearn",
          ("pickle", "joblib", "skops"), ("cloudpickle",), ("categories",)),
    Entry("xgboost", "penstock.runtimes.xgboost", "XgboostRuntime", "xgboost", "xgboost", "xgboost",
          ("xgboost-json", "xgboost-ubj")),
    Entry("lightgbm", "penstock.runtimes.lightgbm", "LightgbmRuntime", "lightgbm", "lightgbm", "lightgbm",
          ("lightgbm-text",)),
    Entry("torch", "penstock.runtimes.torch", "TorchRuntime", "torch", "torch", "pytorch",
          ("torch-export", "torchscript", "torch-pickle", "torch-legacy"), cuda=True),
    Entry("openvino", "penstock.runtimes.openvino", "OpenvinoRuntime", "openvino", "openvino", "openvino",
          ("openvino",), ("onnx",), ("inference",)),
    Entry("text", "penstock.runtimes.text.runtime", "TextRuntime", "tokenizers", "text", "penstock_text",
          ("safetensors",), ("onnx", "openvino"), TextModel.__struct_fields__, cuda=True),
    Entry("llm", "penstock.runtimes.generation.runtime", "LanguageRuntime", None, "llm", "penstock_llm",
          ("gguf", "causal-lm", "openvino-llm"), (), LanguageModel.__struct_fields__, cuda=True, engine=True),
    Entry("callable", "penstock.runtimes.callable", "CallableRuntime", None, "", "python", ("python", "cloudpickle"),
          ("pickle", "joblib"), ("frame", "import_from")),
)  # fmt: skip
RUNTIMES: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
_BY_FORMAT = {format: entry.name for entry in _ENTRIES for format in entry.formats}

# The first package found among an object's base classes decides; wrappers come before what they wrap.
_PACKAGES = ("xgboost", "lightgbm", "torch", "onnx", "sklearn")

_WHAT_WORKS = (
    "scikit-learn, XGBoost and LightGBM models, torch modules, ONNX models or paths to .onnx files, "
    "penstock.Model subclasses and plain functions"
)


def entry(name: str) -> Entry:
    """The runtime of that name. Raises `ConfigError` naming the nearest one."""
    found = RUNTIMES.get(name)
    if found is None:
        near = closest(name, RUNTIMES)
        hint = f"did you mean {near!r}?" if near else f"known are: {', '.join(RUNTIMES)}"
        raise ConfigError(f"there is no runtime {name!r}; {hint}")
    return found


def batches_itself(name: str) -> bool:
    """Whether the runtime is an engine; a name that is none of ours is not."""
    return name in RUNTIMES and RUNTIMES[name].engine


def create_runtime(name: str) -> Runtime:
    """A new, empty runtime that runs batches. Raises `ConfigError` for an engine, `MissingExtra` as `create` does."""
    if batches_itself(name):
        raise ConfigError(f"the runtime {name} generates text; it runs no batches")
    return cast(Runtime, create(name))


def create(name: str) -> Runtime | Engine:
    """A new, empty runtime or engine. Raises `MissingExtra` when its library is not installed."""
    found = entry(name)
    check_installed(name)
    return cast(Runtime | Engine, getattr(importlib.import_module(found.module), found.runtime)())


def check_installed(name: str) -> None:
    """Raises `MissingExtra` unless the runtime's library can be imported; imports nothing."""
    library = entry(name).library
    if library is not None:
        require(library, name)


def require(library: str, name: str) -> None:
    """Raises `MissingExtra`, naming the extra of the runtime `name`, unless the library can be imported."""
    if importlib.util.find_spec(library) is None:
        extra = RUNTIMES[name].extra
        raise MissingExtra(f"{name} models need the extra: pip install 'penstock[{extra}]' ({library} is missing)")


def for_format(format: str) -> str:
    """The runtime that serves a format unless another is asked for. Raises `ConfigError` when none does."""
    name = _BY_FORMAT.get(format)
    if name is None:
        raise ConfigError(f"no runtime serves the format {format!r}; known are: {', '.join(_BY_FORMAT)}")
    return name


def check_reads(name: str, format: str) -> None:
    """Raises `ConfigError`, naming the runtimes that do, unless the runtime reads the format."""
    found = entry(name)
    if format in (*found.formats, *found.also):
        return
    able = [other.name for other in _ENTRIES if format in (*other.formats, *other.also)]
    raise ConfigError(f"the runtime {name} does not read {format}; {_listed(able) or 'none'} can")


def check_settings(name: str, device: str, options: Iterable[str]) -> None:
    """Raises `ConfigError` for a device or an option that the runtime would not obey."""
    found = entry(name)
    if device.startswith("cuda") and not found.cuda:
        able = _listed([other.name for other in _ENTRIES if other.cuda])
        raise ConfigError(f"device: {device} is for the runtimes {able}; {name} uses the CPU")
    for option in options:
        if option not in found.options:
            near = closest(option, found.options)
            known = f"it takes: {', '.join(found.options)}" if found.options else "it takes none"
            hint = f"did you mean {near!r}?" if near else known
            raise ConfigError(f"the runtime {name} has no option {option!r}; {hint}")


def saver_for(obj: object) -> tuple[str, Saver]:
    """The runtime that serves a live object, and its module, which can write it.

    Decides by where the object's classes come from, so no library is imported that is not already.
    Raises `ModelFileError` that says what works.
    """
    for name in _candidates(obj):
        module = importlib.import_module(RUNTIMES[name].module)
        if _saves(module) and module.accepts(obj):
            return name, cast(Saver, module)
    raise ModelFileError(f"an object of type {type(obj).__qualname__} cannot be served; these can: {_WHAT_WORKS}")


def _candidates(obj: object) -> list[str]:
    if isinstance(obj, (str, Path, bytes)):
        return ["onnx"]
    packages = {kind.__module__.partition(".")[0] for kind in type(obj).__mro__}
    native = [name for name in _PACKAGES if name in packages]
    return [*native, "sklearn", "callable"]


def _saves(module: ModuleType | Any) -> bool:
    return hasattr(module, "accepts") and hasattr(module, "save")


def _listed(names: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
