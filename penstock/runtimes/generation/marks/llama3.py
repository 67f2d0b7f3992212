"""Tool calls as Llama 3 models write them: {"name": ..., "parameters": {...}}, perhaps after <|python_tag|>."""

from __future__ import annotations

from collections.abc import Collection

from penstock.runtimes.generation.marks.calls import Found
from penstock.runtimes.generation.marks.hermes import read_object
from penstock.runtimes.generation.marks.json_calls import Extent


class Llama3:
    """JSON objects that begin the answer, several with semicolons between them; or one after its mark."""

    opening, closing = "<|python_tag|>", ";"
    shown: tuple[str, ...] = (opening,)
    bare = True

    def read(self, text: str, start: int, names: Collection[str], extent: Extent) -> Found | None:
        """The call written at `start`."""
        return read_object(text, start, names, extent)
