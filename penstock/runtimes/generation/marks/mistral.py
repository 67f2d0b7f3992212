"""Tool calls as Mistral models write them: [TOOL_CALLS][{...}, {...}], or newer [TOOL_CALLS]name[ARGS]{...}."""

from __future__ import annotations

import re
from collections.abc import Collection

from penstock.runtimes.generation.marks.calls import Found
from penstock.runtimes.generation.marks.json_calls import Broken, Extent, after_space, arguments_of, read_calls
from penstock.runtimes.generation.marks.parts import Called

_HEAD = re.compile(r"\s*([\w.:/-]+)\s*(?:\[CALL_ID\]\s*\w*\s*)?(?:\[ARGS\])?\s*")
_LONGEST_HEAD = 512


class Mistral:
    """A JSON array of calls, or a name and a JSON object, after a mark."""

    opening, closing = "[TOOL_CALLS]", ""
    shown: tuple[str, ...] = (opening, "[ARGS]", "[CALL_ID]")
    bare = False

    def read(self, text: str, start: int, names: Collection[str], extent: Extent) -> Found | None:
        """The calls written at `start`."""
        start = after_space(text, start)
        if start == len(text):
            return None
        if text[start] == "[":
            end = extent.end(text, start)
            return Found(read_calls(text[start:end], names), end) if end >= 0 else None
        return self._named(text, start, names, extent)

    def _named(self, text: str, start: int, names: Collection[str], extent: Extent) -> Found | None:
        body = text.find("{", start)
        head = text[start : body if body >= 0 else len(text)]
        if body < 0 and len(head) <= _LONGEST_HEAD:
            return None
        found = _HEAD.fullmatch(head)
        if body < 0 or found is None or found[1] not in names:
            raise Broken
        end = extent.end(text, body)
        return Found([Called(found[1], _arguments(text[body:end]))], end) if end >= 0 else None


def _arguments(text: str) -> str:
    try:
        return arguments_of(text.encode())
    except (ValueError, RecursionError) as error:
        raise Broken from error
