"""llama.cpp's C API, as llama-cpp-python binds it; and what it says when something fails."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import sys
from collections import deque
from functools import cache
from importlib import import_module
from typing import Any

from penstock.core.errors import MissingExtra

_WARN, _ERROR, _CONTINUED = 3, 4, 5
_said: deque[str] = deque(maxlen=20)
_PATHS = re.compile(r"['\"]?(?:/|[A-Za-z]:\\)[^\s'\"]+['\"]?")


@cache
def library() -> Any:
    """The bindings. Raises `MissingExtra`."""
    try:
        bindings = _bindings()
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingExtra(
            "llama.cpp is not installed, or cannot be loaded: pip install 'penstock[llamacpp]' (it needs a C++ "
            "compiler and CMake)",
            detail=str(error),
        ) from error
    bindings.llama_log_set(_listener(bindings), ctypes.c_void_p(0))
    bindings.llama_backend_init()
    return bindings


def _bindings() -> Any:
    """Only the module of the C API: its package would import a chat framework, and a cache that unpickles files."""
    _wait_asleep()
    name = "llama_cpp.llama_cpp"
    if name not in sys.modules and "llama_cpp" not in sys.modules:
        spec = importlib.util.find_spec("llama_cpp")
        if spec is None:
            raise ImportError("there is no module llama_cpp")
        sys.modules["llama_cpp"] = importlib.util.module_from_spec(spec)
    return import_module(name)


def _wait_asleep() -> None:
    """OpenMP's threads spin while they wait for each other, unless told before they exist: then whatever else wants a
    core makes every step ten times slower."""
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@cache
def _listener(bindings: Any) -> Any:
    """Keeps the last warnings and errors instead of printing everything."""
    last = 0

    def listen(level: int, text: bytes, _: Any) -> None:
        nonlocal last
        last = last if level == _CONTINUED else level
        if last in (_WARN, _ERROR):
            _said.append(text.decode("utf-8", "replace").strip())

    return bindings.llama_log_callback(listen)


def forget() -> None:
    """Begins anew to listen to what the library says."""
    _said.clear()


def said() -> str:
    """The warnings and errors since `forget`, for the log."""
    return "\n".join(line for line in _said if line)


def reason() -> str:
    """The last error that says more than that loading failed, without paths; "" for none."""
    lines = [line.split(": ", 1)[-1] for line in _said if "error" in line or "unknown" in line or "missing" in line]
    return _PATHS.sub("the file", lines[0]) if lines else ""
