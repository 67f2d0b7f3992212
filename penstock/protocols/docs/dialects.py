"""The doors of Anthropic's and Ollama's APIs in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.protocols.anthropic import messages as anthropic
from penstock.protocols.docs.parts import Json, explain, get
from penstock.protocols.ollama import messages as ollama
from penstock.protocols.ollama import options as ollama_options

TAG = "language models, other dialects"
EVENTS, LINES = "text/event-stream", "application/x-ndjson"
POSTS: Mapping[str, tuple[str, str, str]] = {
    "/v1/messages": ("The next turn of a conversation, as Anthropic's API has it", "anthropic.MessagesRequest", EVENTS),
    "/v1/messages/count_tokens": ("How many tokens a conversation has, likewise", "anthropic.CountRequest", ""),
    "/api/chat": ("The next turn of a conversation, as Ollama has it", "ollama.ChatRequest", LINES),
    "/api/generate": ("How a prompt is answered, as Ollama has it", "ollama.GenerateRequest", LINES),
    "/api/embed": ("Embeddings of texts, as Ollama has them", "ollama.EmbedRequest", ""),
    "/api/embeddings": ("The embedding of a text, as older clients of Ollama ask", "ollama.OldEmbedRequest", ""),
    "/api/show": ("What a model is, as Ollama tells it", "ollama.NameRequest", ""),
    "/api/pull": ("Fetches a model from the hub, as Ollama does", "ollama.NameRequest", LINES),
}
"""Path → what it does, its message, and the media type of its stream, if it has one."""
GETS: Mapping[str, str] = {
    "/api/version": "This server's version, as Ollama tells it",
    "/api/tags": "The models that are served or pulled, as Ollama lists them",
    "/api/ps": "The models in memory, as Ollama lists them",
}


def _with_options(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The message with its options spelled out; the door reads them in a second step, to name them in its errors."""
    options = [("options", ollama_options.Options | None, None)]
    return msgspec.defstruct(kind.__name__, options, bases=(kind,), kw_only=True, forbid_unknown_fields=True)


_FIELDS: Mapping[str, tuple[type[msgspec.Struct], Mapping[str, str]]] = {
    "anthropic.MessagesRequest": (anthropic.MessagesRequest, anthropic.FIELDS),
    "anthropic.CountRequest": (anthropic.CountRequest, anthropic.FIELDS),
    "ollama.ChatRequest": (_with_options(ollama.ChatRequest), ollama.CHAT_FIELDS),
    "ollama.GenerateRequest": (_with_options(ollama.GenerateRequest), ollama.GENERATE_FIELDS),
    "ollama.EmbedRequest": (ollama.EmbedRequest, ollama.EMBED_FIELDS),
    "ollama.OldEmbedRequest": (ollama.OldEmbedRequest, ollama.OLD_EMBED_FIELDS),
    "ollama.NameRequest": (ollama.NameRequest, ollama.NAME_FIELDS),
}


def paths(answers: Any) -> Json:
    """The paths; `answers` makes an operation's responses of a content and a sentence."""
    posts = {path: {"post": _post(path, *what, answers)} for path, what in POSTS.items()}
    return posts | {path: {"get": get(TAG, says, _operation(path), answers)} for path, says in GETS.items()}


def schemas() -> Json:
    """The requests; their names begin with the dialect's, because the dialects share many."""
    found = _components("anthropic", anthropic.NOT_OFFERED) | _components("ollama", ollama.NOT_OFFERED)
    for name, (_, fields) in _FIELDS.items():
        properties = found[name]["properties"]
        explain(found[name], {field: says for field, says in fields.items() if field in properties})
    explain(found["ollama.Options"], ollama_options.FIELDS)
    return found


def _components(dialect: str, refused: Mapping[str, str]) -> Json:
    kinds = [kind for name, (kind, _) in _FIELDS.items() if name.startswith(f"{dialect}.")]
    _, found = msgspec.json.schema_components(kinds, ref_template=f"#/components/schemas/{dialect}.{{name}}")
    for schema in found.values():
        for field in set(refused) & set(schema.get("properties", ())):
            if schema["properties"][field] == {"default": None}:
                schema["properties"][field] = {"type": "null", "description": f"Not offered: {refused[field]}."}
    return {f"{dialect}.{name}": schema for name, schema in found.items()}


def _post(path: str, says: str, kind: str, streams: str, answers: Any) -> Json:
    content: Json = {"application/json": {"schema": {"type": "object"}}}
    if streams:
        content[streams] = {"schema": {"type": "string"}}
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind}"}}}
    return {
        "tags": [TAG],
        "operationId": _operation(path),
        "summary": says,
        "requestBody": {"required": True, "content": body},
        "responses": answers(content, says),
    }


def _operation(path: str) -> str:
    return ("anthropic" if path.startswith("/v1") else "ollama") + path.replace("/", "_")
