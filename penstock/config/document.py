"""Settings as plain data before they are checked, and where each of them was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from penstock.core.errors import ConfigError
from penstock.core.nearest import closest

Path = tuple[str, ...]
MAX_SHOWN = 20


class Origin(NamedTuple):
    """A file and line, an environment variable, or the command line."""

    name: str
    line: int | None = None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name}, line {self.line}"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: where it was written, which setting, and what would work."""

    source: str
    line: int | None
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.source}, line {self.line}" if self.line is not None else self.source
        return ": ".join(part for part in (where, self.path, self.message) if part)


class Document:
    """A tree of settings. `origins`: where each path was written, as far as known."""

    def __init__(self, data: dict[str, Any], origins: dict[Path, Origin], source: str):
        self.data = data
        self.origins = origins
        self.source = source

    def origin(self, path: Path) -> Origin:
        """Where a path was written, or what holds it."""
        for length in range(len(path), 0, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                return found
        return Origin(self.source)

    def problem(self, path: Path, message: str) -> Problem:
        """A problem at a path."""
        origin = self.origin(path)
        return Problem(origin.name, origin.line, dotted(path), message)

    def set(self, path: Path, value: Any, origin: Origin) -> None:
        """Puts a value in place of what was written there; what it lies in is made."""
        node = self.data
        for key in path[:-1]:
            below = node.get(key)
            if not isinstance(below, dict):
                below = node[key] = {"source": below} if isinstance(below, str) and path[0] == "models" else {}
            node = below
        node[path[-1]] = value
        self.origins = {known: o for known, o in self.origins.items() if known[: len(path)] != path}
        self.origins[path] = origin


def dotted(path: Iterable[str]) -> str:
    """A path as people write it: models.iris.batching.max_size"""
    return ".".join(path)


def refusal(problems: Sequence[Problem]) -> ConfigError:
    """The error that tells every problem, one per line."""
    lines = [str(problem) for problem in problems[:MAX_SHOWN]]
    if len(problems) > MAX_SHOWN:
        lines.append(f"and {len(problems) - MAX_SHOWN} more")
    return ConfigError("\n".join(lines))


def nearest(wrong: str, known: Iterable[str]) -> str:
    """The end of a message about a word that is not known: the nearest one, or all."""
    words = list(known)
    if near := closest(wrong, words):
        return f"did you mean {near}?"
    return f"known are: {', '.join(words)}" if words else "nothing is known here"
