"""The error table of the API, read off the error tree."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from penstock.core.errors import Cancelled, PenstockError, SetupError

NEVER_SENT = (Cancelled, SetupError)
RETRIABLE = (429, 502, 503)
_TEXT = {"type": "string"}
_SAYS = {"type": "string", "description": "What is wrong, and what to do."}
_ID = {"type": "string", "description": "Links to the server's log."}
OPENAI: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code", "request_id"],
            "properties": {
                "message": _SAYS,
                "type": _TEXT,
                "param": {"type": ["string", "null"], "description": "The field that is to blame, if one is."},
                "code": _TEXT,
                "request_id": _ID,
            },
        }
    },
}
"""The error of OpenAI's API, under /v1 and where documents are reranked."""


def kinds(root: type[PenstockError] = PenstockError) -> Iterator[type[PenstockError]]:
    """Every class of the tree that a client can be told of."""
    for kind in root.__subclasses__():
        if not issubclass(kind, NEVER_SENT):
            yield kind
            yield from kinds(kind)


def by_status() -> dict[int, list[type[PenstockError]]]:
    """The classes behind each status, lowest status first."""
    table: dict[int, list[type[PenstockError]]] = {}
    for kind in sorted(kinds(), key=lambda kind: kind.status):
        table.setdefault(kind.status, []).append(kind)
    return table


def responses() -> dict[str, Any]:
    """One response component per status: "Error400", "Error404"..."""
    return {f"Error{status}": _response(status, found) for status, found in by_status().items()}


def references() -> dict[str, Any]:
    """All error responses of an operation, by status."""
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in by_status()}


def schemas() -> dict[str, Any]:
    """The shapes of an error: ours, the Open Inference Protocol's under /v2, and OpenAI's under /v1."""
    fields = {
        "code": {"type": "string", "enum": sorted({kind.code for kind in kinds()})},
        "request_id": _ID,
    }
    error = {
        "type": "object",
        "required": ["code", "message", "request_id"],
        "properties": {**fields, "message": _SAYS},
    }
    return {
        "Error": {"type": "object", "required": ["error"], "properties": {"error": error}},
        "OipError": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": _SAYS, **fields},
        },
        "OpenAIError": OPENAI,
    }


def _response(status: int, found: list[type[PenstockError]]) -> dict[str, Any]:
    says = "; ".join(f"`{kind.code}`: {(kind.__doc__ or '').splitlines()[0].rstrip('.')}" for kind in found)
    shapes = [{"$ref": f"#/components/schemas/{name}"} for name in ("Error", "OipError", "OpenAIError")]
    response: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}. {says}.",
        "content": {"application/json": {"schema": {"anyOf": shapes}}},
    }
    if status in RETRIABLE:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."}}
    return response
