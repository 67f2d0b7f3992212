"""Python objects by name or from a pickle: finding them, making them ready, writing them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pickle
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.core.errors import MissingExtra, ModelFileError, PenstockError
from penstock.core.model import ModelSpec
from penstock.runtimes.files import importable, read_trusted
from penstock.runtimes.model import Model


def open_object(spec: ModelSpec) -> Any:
    """The object that the spec's path names: "module:attribute", "file.py:attribute", or a pickle under trust."""
    if spec.format in ("cloudpickle", "pickle", "joblib"):
        return _unpickle(read_trusted(spec, "a pickled function"))
    if spec.format != "python":
        raise ModelFileError(f"a {spec.format} file holds no Python function")
    where, _, attribute = spec.path.rpartition(":")
    if not where:
        raise ModelFileError("name a Python object as module:attribute or file.py:attribute")
    if base := spec.options.get("import_from"):
        importable(base)
    return _attribute(_module(where), attribute)


def _unpickle(data: bytes) -> Any:
    try:
        return pickle.loads(data)  # noqa: S301  (read_trusted checked its digest)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the function needs the library {error.name}, which is not installed here") from error
    except Exception as error:
        raise ModelFileError(f"the pickled function cannot be read: {type(error).__name__}: {error}"[:500]) from error


def _module(where: str) -> Any:
    try:
        return _from_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    except PenstockError:
        raise
    except Exception as error:
        raise ModelFileError(f"importing {Path(where).name} failed: {type(error).__name__}: {error}"[:500]) from error


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelFileError(f"there is no file {path.name}")
    module = importlib.util.module_from_spec(spec)
    # Registered, and its folder importable, as when the file is run: it may import its neighbours.
    sys.modules[path.stem] = module
    importable(str(path.parent.absolute()))
    spec.loader.exec_module(module)
    return module


def _attribute(module: Any, name: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise ModelFileError(f"{module.__name__} has no {name!r}; it has: {', '.join(public)[:300]}")
        found = getattr(found, part)
    return found


def ready(obj: Any) -> Callable[..., Any]:
    """What to call with a batch: a function as it is, a `Model` loaded. Raises `ModelFileError` for neither."""
    if inspect.isclass(obj):
        obj = obj()
    if isinstance(obj, Model) or (hasattr(obj, "predict") and not inspect.isroutine(obj)):
        if hasattr(obj, "load"):
            obj.load()
        obj = obj.predict
    if not callable(obj):
        raise ModelFileError(f"a {type(obj).__qualname__} is no function, and has no predict method")
    return obj  # type: ignore[no-any-return]


def pickled(obj: Any) -> bytes:
    """The object with its own module's code in it, so that it runs where that module cannot be imported."""
    import cloudpickle

    module = sys.modules.get(getattr(obj, "__module__", None) or type(obj).__module__)
    if module is None or not _is_own(module):
        return bytes(cloudpickle.dumps(obj))
    cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(obj))
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_own(module: Any) -> bool:
    """Whether it is the person's own code: neither installed, nor Python's."""
    file = getattr(module, "__file__", None)
    if file is None or module.__name__ == "__main__" or module.__name__.startswith("penstock."):
        return False
    return not any(Path(file).is_relative_to(path) for path in set(sysconfig.get_paths().values()))
