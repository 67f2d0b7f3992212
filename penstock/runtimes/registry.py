"""Runtimes by name: which module runs what, and the extra to install. Heavy libraries load late."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, cast

from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.runtimes.contract import Runtime, Saver


class Entry(NamedTuple):
    """Where a runtime lives. `library`: what it needs to import; `extra`: what installs that.

    `platform`: the Open Inference Protocol's platform string, the file's format after it.
    """

    module: str
    runtime: str
    library: str | None
    extra: str
    platform: str


RUNTIMES: dict[str, Entry] = {
    "onnx": Entry("penstock.runtimes.onnx", "OnnxRuntime", "onnxruntime", "onnx", "onnxruntime"),
    "sklearn": Entry("penstock.runtimes.sklearn", "SklearnRuntime", "sklearn", "sklearn", "sklearn"),
    "xgboost": Entry("penstock.runtimes.xgboost", "XgboostRuntime", "xgboost", "xgboost", "xgboost"),
    "lightgbm": Entry("penstock.runtimes.lightgbm", "LightgbmRuntime", "lightgbm", "lightgbm", "lightgbm"),
    "torch": Entry("penstock.runtimes.torch", "TorchRuntime", "torch", "torch", "pytorch"),
    "callable": Entry("penstock.runtimes.callable", "CallableRuntime", None, "", "python"),
}

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
        near = difflib.get_close_matches(name, RUNTIMES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(RUNTIMES)}"
        raise ConfigError(f"there is no runtime {name!r}; {hint}")
    return found


def create(name: str) -> Runtime:
    """A new, empty runtime. Raises `MissingExtra` when its library is not installed."""
    found = entry(name)
    if found.library is not None:
        require(found.library, name)
    return cast(Runtime, getattr(importlib.import_module(found.module), found.runtime)())


def require(library: str, name: str) -> None:
    """Raises `MissingExtra`, naming the extra of the runtime `name`, unless the library can be imported."""
    if importlib.util.find_spec(library) is None:
        extra = RUNTIMES[name].extra
        raise MissingExtra(f"{name} models need the extra: pip install 'penstock[{extra}]' ({library} is missing)")


def platform(name: str, format: str) -> str:
    """The Open Inference Protocol's platform string of a runtime that reads a format."""
    prefix = entry(name).platform
    return f"{prefix}_{format}" if format else prefix


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
