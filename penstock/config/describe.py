"""The settings as JSON Schema, each with the sentence that stands under it in the code: for editors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import msgspec

from penstock.config.check import hints, is_struct, struct_values
from penstock.config.schema import Config

SCHEMA = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of penstock.yaml."""
    (root,), definitions = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    for kind in structs(Config):
        _describe(definitions[kind.__name__], kind)
    models = definitions["Config"]["properties"]["models"]
    short = {"type": "string", "description": "Short for {source: ...}."}
    models["additionalProperties"] = {"anyOf": [short, models["additionalProperties"]]}
    return {"$schema": SCHEMA, "title": "penstock.yaml", **root, "$defs": definitions}


def structs(kind: type) -> list[type]:
    """A group of settings and all groups in it."""
    found = [kind]
    for hint in hints(kind).values():
        below = hint if is_struct(hint) else struct_values(hint)
        if below is not None:
            found += [inner for inner in structs(below) if inner not in found]
    return found


def _describe(schema: dict[str, Any], kind: type) -> None:
    for key, sentence in sentences(kind).items():
        if key in schema.get("properties", {}):
            schema["properties"][key]["description"] = sentence


def sentences(kind: type) -> dict[str, str]:
    """The sentence under each setting of a group, those it inherits too."""
    found: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if issubclass(parent, msgspec.Struct) and parent is not msgspec.Struct:
            found.update(_own_sentences(parent))
    return found


def _own_sentences(kind: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for statement, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = _text(after)
            if text is not None:
                found[statement.target.id] = inspect.cleandoc(text)
    return found


def _text(statement: ast.stmt) -> str | None:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        value = statement.value.value
        return value if isinstance(value, str) else None
    return None
