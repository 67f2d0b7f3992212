"""A GGUF file as a source: described, with the person's options over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.gguf import MAGIC
from penstock.repository.formats import identify
from penstock.repository.gguf import describe, parts
from penstock.repository.language_options import overridden


def is_gguf(path: Path) -> bool:
    """Whether a file begins as GGUF does; what cannot be read does not."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def of_gguf(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the language model in a GGUF file; of several parts, any may be named.

    Raises `ModelFileError` for a damaged or incomplete file, `ConfigError` for wrong options.
    """
    identify(path)
    model = overridden(describe(path), given)
    options: dict[str, Any] = msgspec.to_builtins(model)
    return {"path": str(parts(path)[0].absolute()), "format": "gguf", "runtime": "llm", "options": options}
