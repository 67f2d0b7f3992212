"""Python objects as sources: "module:attribute" and "file.py:attribute"."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_FILE = re.compile(r"(.+\.py):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


def names_object(source: str) -> bool:
    """Whether a source is written as a Python object is."""
    return bool(_FILE.fullmatch(source) or _MODULE.fullmatch(source))


def file_of(source: str, base: Path) -> Path | None:
    """The .py file that a source names an object of, or None when it names a module's."""
    found = _FILE.fullmatch(source)
    return base / Path(found.group(1)).expanduser() if found else None


def of_python(source: str, runtime: str | None, base: Path) -> dict[str, Any]:
    """What is known of a Python object. No digest: it is the person's own code, named by hand."""
    path = file_of(source, base)
    where = f"{path.absolute()}:{source.rpartition(':')[2]}" if path else source
    options = {"import_from": str(base.absolute())}
    return {"path": where, "format": "python", "runtime": runtime or "callable", "options": options}


def without_object(source: str, path: Path) -> ModelFileError:
    """The refusal of a .py file that names no object in it, with those that it could name."""
    return ModelFileError(f"{source} is Python code; name the object in it{_suggestion(source, path)}")


def _suggestion(source: str, path: Path) -> str:
    try:
        nodes = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, OSError):
        return f", as {source}:predict"
    names = [n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    return ": " + " or ".join(f"{source}:{name}" for name in names[:5]) if names else f", as {source}:predict"
