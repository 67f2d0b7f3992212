"""Which door a path leads to, and what a caller has to be allowed there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from penstock.core.errors import BadInput, MethodNotAllowed, NotFound
from penstock.core.principal import Verb
from penstock.protocols.http.message import Door

MAX_PATH = 2048
CACHE_SIZE = 1024


class Found(NamedTuple):
    """What a path leads to: the door, its parameters, and the verb that its callers need."""

    door: Door
    parameters: tuple[str, ...]
    verb: Verb


class Routes:
    """A tree over path segments; `{}` stands for one segment that the door gets as a parameter."""

    def __init__(self) -> None:
        self._root: Node = Node()
        self._found: dict[tuple[str, bytes], Found] = {}

    def add(self, method: str, pattern: str, door: Door, verb: Verb) -> None:
        """Adds a door, such as ("POST", "/models/{}/predict", door, "infer")."""
        node = self._root
        for segment in pattern.strip("/").split("/"):
            node = node.children.setdefault(segment, Node())
        node.doors[method] = (door, verb)

    def find(self, method: str, path: bytes) -> Found:
        """The door, its parameters, percent-decoded, and its verb.

        Raises `NotFound` and `MethodNotAllowed`. Paths are matched raw, segment by segment, so an
        encoded slash or dot never changes which door is found.
        """
        found = self._found.get((method, path))
        if found is None:
            found = self.search(method, path)
            if len(self._found) < CACHE_SIZE:
                self._found[method, path] = found
        return found

    def search(self, method: str, path: bytes) -> Found:
        """The same, for one who does not come again: nothing is remembered."""
        if len(path) > MAX_PATH:
            raise BadInput(f"the path is over {MAX_PATH} bytes")
        if not path.startswith(b"/"):
            raise NotFound("no such path; GET /openapi.json lists what there is")
        segments = path.decode("ascii", errors="replace")[1:].rstrip("/").split("/")
        way = _walk(self._root, segments)
        if way is None:
            raise NotFound("no such path; GET /openapi.json lists what there is")
        doors, parameters = way
        found = doors.get(method) or (doors.get("GET") if method == "HEAD" else None)
        if found is None:
            allow = ", ".join(sorted(doors))
            raise MethodNotAllowed(f"this path takes {allow}", allow=allow)
        return Found(found[0], parameters, found[1])

    def all(self) -> Iterator[tuple[str, str, Verb]]:
        """Every method, pattern and verb."""
        yield from _listed(self._root, "")


class Node:
    """One segment: what follows it, and the doors that end here by method."""

    __slots__ = ("children", "doors")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.doors: dict[str, tuple[Door, Verb]] = {}


def _listed(node: Node, path: str) -> Iterator[tuple[str, str, Verb]]:
    for method, (_, verb) in node.doors.items():
        yield method, path, verb
    for segment, child in node.children.items():
        yield from _listed(child, f"{path}/{segment}")


def _walk(node: Node, segments: Sequence[str]) -> tuple[dict[str, tuple[Door, Verb]], tuple[str, ...]] | None:
    """The doors at the end and the parameters on the way; a literal segment is tried before `{}`.

    So a model may be named like a literal: /models/stats is the statistics, /models/stats/infer the model's.
    """
    if not segments:
        return (node.doors, ()) if node.doors else None
    segment, rest = segments[0], segments[1:]
    if segment != "{}" and segment in node.children and (way := _walk(node.children[segment], rest)) is not None:
        return way
    if not segment or "{}" not in node.children or (way := _walk(node.children["{}"], rest)) is None:
        return None
    return way[0], (unquote(segment, errors="replace"), *way[1])
