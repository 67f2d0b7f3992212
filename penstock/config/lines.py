"""YAML with line numbers: strict about duplicate keys, and about keys that YAML does not read as text."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import yaml

from penstock.config.document import Document, Origin, Path, Problem, refusal
from penstock.core.errors import ConfigError

MAX_BYTES = 8 * 2**20
MAX_NODES = 200_000
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


def read(path: FilePath) -> Document:
    """A YAML file's settings. Raises `ConfigError` with file name and line."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path.name} is over {MAX_BYTES} bytes; that is no configuration")
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text (byte {error.start})") from error
    return parse(text, path.name)


def parse(text: str, name: str) -> Document:
    """The settings in YAML text; `name` is the file's, for messages. Raises `ConfigError`."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Document({}, {}, name)
        walk = _Walk(name)
        walk.visit(node, ())
        if walk.problems:
            raise refusal(walk.problems)
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise refusal([_of_yaml(error, name)]) from error
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{name} cannot be read as YAML: {error}") from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise refusal([Problem(name, 1, "", "the file must hold settings such as 'models:', not a list or a text")])
    return Document(data, walk.origins, name)


def _of_yaml(error: yaml.YAMLError, name: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    line = None if mark is None else mark.line + 1
    if "found character '\\t'" in what:
        what = "YAML is indented with spaces, and here is a tab"
    return Problem(name, line, "", f"not valid YAML: {what}")


class _Walk:
    """Notes the line of every path, and what is wrong with keys."""

    def __init__(self, name: str):
        self.origins: dict[Path, Origin] = {}
        self.problems: list[Problem] = []
        self._name = name
        self._left = MAX_NODES

    def visit(self, node: yaml.Node, path: Path) -> None:
        self._left -= 1
        if self._left < 0:
            raise ConfigError(f"{self._name} holds more than {MAX_NODES} values; that is no configuration")
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                below = (*path, str(index))
                self.origins.setdefault(below, Origin(self._name, item.start_mark.line + 1))
                self.visit(item, below)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> None:
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                self.visit(value, path)
                continue
            label = str(key.value)
            if key.tag != _TEXT:
                self._refuse(line, path, f"the key {label} is not read as text by YAML; put it in quotes")
            elif label in first:
                self._refuse(line, (*path, label), f"is written twice; first on line {first[label]}")
            first.setdefault(label, line)
            self.origins[(*path, label)] = Origin(self._name, line)
            self.visit(value, (*path, label))

    def _refuse(self, line: int, path: Path, message: str) -> None:
        self.problems.append(Problem(self._name, line, ".".join(path), message))


def plain(text: str) -> Any:
    """One value in YAML's notation, such as an environment variable holds. Raises `ConfigError`."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text[:80]!r} is not valid YAML") from error
