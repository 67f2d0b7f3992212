"""Pieces that the sections of the OpenAPI document are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]


def explain(schema: Json, fields: Mapping[str, str], examples: Sequence[Json] = ()) -> None:
    """Puts what each field takes into a request's schema, in place, and examples of it."""
    schema.pop("description", None)
    for name, says in fields.items():
        schema["properties"][name]["description"] = f"{says[:1].upper()}{says[1:]}."
    if examples:
        schema["examples"] = list(examples)


def post(tag: str, operation: str, says: str, kind: str, answers: Any, *, streams: bool = False) -> Json:
    """An operation that takes a `{kind}Request` and gives a `{kind}Response`, or a stream of server-sent events."""
    content = reference(f"{kind}Response")
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "tags": [tag],
        "operationId": operation,
        "summary": says,
        "requestBody": {"required": True, "content": reference(f"{kind}Request")},
        "responses": answers(content, says),
    }


def get(tag: str, says: str, operation: str, answers: Any) -> Json:
    """An operation that only gives."""
    content: Json = {"application/json": {"schema": {}}}
    return {"tags": [tag], "operationId": operation, "summary": says, "responses": answers(content, says)}


def reference(name: str) -> Json:
    """The content that a schema of the document describes."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def object_of(required: str, **properties: Any) -> Json:
    """The schema of an object; `required` are names with spaces between."""
    return {"type": "object", "required": required.split(), "properties": properties}


def list_of(items: Json) -> Json:
    """The schema of a list."""
    return {"type": "array", "items": items}
