"""Which door a path leads to."""

from __future__ import annotations

from urllib.parse import unquote

from penstock.core.errors import BadInput, MethodNotAllowed, NotFound
from penstock.protocols.http.message import Door

MAX_PATH = 2048
CACHE_SIZE = 1024


class Routes:
    """A tree over path segments; `{}` stands for one segment that the door gets as a parameter."""

    def __init__(self) -> None:
        self._root: Node = Node()
        self._found: dict[tuple[str, bytes], tuple[Door, tuple[str, ...]]] = {}

    def add(self, method: str, pattern: str, door: Door) -> None:
        """Adds a door, such as ("POST", "/models/{}/predict", door)."""
        node = self._root
        for segment in pattern.strip("/").split("/"):
            node = node.children.setdefault(segment, Node())
        node.doors[method] = door

    def find(self, method: str, path: bytes) -> tuple[Door, tuple[str, ...]]:
        """The door and its parameters, percent-decoded.

        Raises `NotFound` and `MethodNotAllowed`. Paths are matched raw, segment by segment, so an
        encoded slash or dot never changes which door is found.
        """
        found = self._found.get((method, path))
        if found is None:
            found = self._search(method, path)
            if len(self._found) < CACHE_SIZE:
                self._found[method, path] = found
        return found

    def _search(self, method: str, path: bytes) -> tuple[Door, tuple[str, ...]]:
        if len(path) > MAX_PATH:
            raise BadInput(f"the path is over {MAX_PATH} bytes")
        if not path.startswith(b"/"):
            raise NotFound("no such path; GET /openapi.json lists what there is")
        doors, parameters = self._walk(path.decode("ascii", errors="replace"))
        door = doors.get(method) or (doors.get("GET") if method == "HEAD" else None)
        if door is None:
            allow = ", ".join(sorted(doors))
            raise MethodNotAllowed(f"this path takes {allow}", allow=allow)
        return door, parameters

    def _walk(self, path: str) -> tuple[dict[str, Door], tuple[str, ...]]:
        node, parameters = self._root, []
        for segment in path[1:].rstrip("/").split("/"):
            child = node.children.get(segment) if segment != "{}" else None
            if child is None and segment and (child := node.children.get("{}")) is not None:
                parameters.append(unquote(segment, errors="replace"))
            if child is None:
                raise NotFound("no such path; GET /openapi.json lists what there is")
            node = child
        if not node.doors:
            raise NotFound("no such path; GET /openapi.json lists what there is")
        return node.doors, tuple(parameters)


class Node:
    """One segment: what follows it, and the doors that end here by method."""

    __slots__ = ("children", "doors")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.doors: dict[str, Door] = {}
