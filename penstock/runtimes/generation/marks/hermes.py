"""Tool calls as Hermes and Qwen models write them: <tool_call>{"name": ..., "arguments": {...}}</tool_call>."""

from __future__ import annotations

from collections.abc import Collection

from penstock.runtimes.generation.marks.calls import Found
from penstock.runtimes.generation.marks.json_calls import Broken, Extent, after_space, read_call


class Hermes:
    """One JSON object between two marks."""

    opening, closing = "<tool_call>", "</tool_call>"
    shown: tuple[str, ...] = (opening, closing)
    bare = False

    def read(self, text: str, start: int, names: Collection[str], extent: Extent) -> Found | None:
        """The call written at `start`."""
        return read_object(text, start, names, extent)


def read_object(text: str, start: int, names: Collection[str], extent: Extent) -> Found | None:
    """The call that the JSON object at `start` is, after white space. None while it is not whole. Raises `Broken`."""
    start = after_space(text, start)
    if start == len(text):
        return None
    if text[start] != "{":
        raise Broken
    end = extent.end(text, start)
    return Found([read_call(text[start:end], names)], end) if end >= 0 else None
