"""Cohere's API, version 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Generation, Tool
from penstock.core.tensors import Array
from penstock.runtimes.remote.asking import (
    base_url,
    check_offered,
    encoded,
    messages_of,
    short,
    turns_of,
    without_region,
)
from penstock.runtimes.remote.cohere_reader import NAME, CohereReader, Usages, error_of
from penstock.runtimes.remote.cohere_turns import messages
from penstock.runtimes.remote.contract import HttpCall, RemoteModel
from penstock.runtimes.remote.failures import malformed

_JSON = {"content-type": "application/json"}
_OFFERS = ("seed", "top_k", "presence_penalty", "frequency_penalty", "think")
_CHOICES = {"auto": None, "required": "REQUIRED", "none": "NONE"}


class _ByType(msgspec.Struct):
    floats: list[list[float]] = msgspec.field(name="float")


class _Embeddings(msgspec.Struct):
    embeddings: _ByType
    meta: Usages | None = None


_embeddings = msgspec.json.Decoder(_Embeddings)


class Cohere:
    """See `contract.Dialect`."""

    variables: ClassVar[tuple[str, ...]] = ("CO_API_KEY", "COHERE_API_KEY")

    def settle(self, model: RemoteModel) -> RemoteModel:
        """The settings as they are. Raises `ConfigError` for a region."""
        return without_region(NAME, model)

    def counts(self, model: RemoteModel) -> bool:
        """There is only a call that counts the tokens of a plain text."""
        return False

    def texts_at_once(self, model: RemoteModel) -> int:
        """As the API allows."""
        return 96

    def authorize(self, key: str) -> dict[str, str]:
        """The header that carries the key."""
        return {"authorization": f"Bearer {key}"}

    def generate(self, generation: Generation, model: RemoteModel) -> HttpCall:
        """The call for an answer. Raises `BadInput`."""
        check_offered(NAME, generation, _OFFERS)
        conversation = messages_of(NAME, generation)
        turns_of(conversation)
        body = short(
            {"model": model.model, "stream": model.streams, "messages": messages(conversation)}
            | _tools(generation)
            | _settings(generation)
        )
        return _call(model, "chat", encoded(body, model.extra), streamed=model.streams)

    def reader(self, generation: Generation) -> CohereReader:
        """What reads the reply to it."""
        return CohereReader(generation)

    def embed(self, texts: Sequence[str], model: RemoteModel) -> HttpCall:
        """The call for embeddings, as of documents; `extra: {input_type: search_query}` makes them those of
        questions."""
        body = {
            "model": model.model,
            "texts": list(texts),
            "input_type": "search_document",
            "embedding_types": ["float"],
            "output_dimension": model.dimensions or None,
            "truncate": "NONE",
        }
        return _call(model, "embed", encoded(short(body), model.extra))

    def embeddings(self, body: bytes, count: int) -> tuple[Sequence[Sequence[float] | Array], int]:
        """Embeddings in order, and prompt tokens."""
        try:
            found = _embeddings.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise malformed(NAME) from None
        if len(found.embeddings.floats) != count:
            raise malformed(NAME, f"{len(found.embeddings.floats)} embeddings of {count} texts")
        return found.embeddings.floats, found.meta.counted().prompt_tokens if found.meta else 0

    def failure(self, status: int, headers: dict[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none."""
        return error_of(status, headers, body)


def _call(model: RemoteModel, path: str, body: bytes, *, streamed: bool = False) -> HttpCall:
    url = f"{base_url(model.url, 'https://api.cohere.com', 'v2')}/{path}"
    return HttpCall(url, body, _JSON, "sse" if streamed else "json")


def _settings(generation: Generation) -> dict[str, Any]:
    sampling, think = generation.sampling, generation.think
    return {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "p": sampling.top_p,
        "k": sampling.top_k or None,
        "seed": sampling.seed,
        "stop_sequences": list(sampling.stop) or None,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "thinking": None if think is None else {"type": "enabled" if think else "disabled"},
        "response_format": _format(generation.format),
    }


def _format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_object", "json_schema": schema} if schema else {"type": "json_object"}


def _tools(generation: Generation) -> dict[str, Any]:
    """The tools, and how they may be called. A choice of one tool is a choice among that one alone, as the API knows no
    names."""
    tools, choice = generation.tools, generation.tool_choice
    if not tools:
        return {}
    if choice.startswith("="):
        tools, choice = tuple(tool for tool in tools if tool.name == choice[1:]), "required"
    strict = any(tool.strict for tool in tools)
    return {"tools": [_tool(tool) for tool in tools], "tool_choice": _CHOICES[choice], "strict_tools": strict or None}


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {}, **tool.parameters}
    function = {"name": tool.name, "description": tool.description or None, "parameters": parameters}
    return {"type": "function", "function": short(function)}
