"""The bodies of Ollama's API, and what of it is not offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from penstock.protocols.generation.limits import TopLogprobs
from penstock.protocols.reading import wrong

_FIELDS = {
    "model": "the name of a served model",
    "stream": "false for the answer in one piece (default true: as it comes)",
    "format": '"json" for any JSON object, or a JSON Schema',
    "options": "an object of sampling settings",
    "think": 'true to reason first, false not to; "low", "medium" and "high" are the same as true',
    "keep_alive": "a duration, which changes nothing but 0 where nothing is asked, which unloads the model",
    "logprobs": "true to have the log-probability of every token",
    "top_logprobs": "how many alternatives to show beside each token, 0 to 20",
    "timeout_ms": "the time to answer in milliseconds",
    "priority": "a whole number from 1 (most urgent) to 9",
}
CHAT_FIELDS = {
    **_FIELDS,
    "messages": 'a list of {"role", "content"}, with tool_calls, tool_name and thinking where they apply',
    "tools": 'a list of {"type": "function", "function": {"name", "description", "parameters"}}',
}
GENERATE_FIELDS = {
    **_FIELDS,
    "prompt": "a text",
    "system": "a text that goes before it",
    "raw": "true to give the prompt to the model as it is, without its template",
}
EMBED_FIELDS = {
    "model": "the name of a served model",
    "input": "a text, or a list of texts",
    "truncate": "true to cut texts that are too long, false to refuse them",
    "dimensions": "how many of the first numbers of each embedding to keep, at least 1",
    "options": "an object, which changes nothing here",
    "keep_alive": "a duration, which changes nothing",
    "timeout_ms": "the time to answer in milliseconds",
    "priority": "a whole number from 1 (most urgent) to 9",
}
OLD_EMBED_FIELDS = {**EMBED_FIELDS, "prompt": "a text"}
NAME_FIELDS = {
    "model": "the name of a model",
    "name": "the same, as older clients write it",
    "verbose": "true or false, which changes nothing",
    "stream": "false for the end alone",
    "insecure": "false",
    **dict.fromkeys(("system", "template", "options"), "nothing: models are shown as they are"),
    **dict.fromkeys(("username", "password"), "nothing: the server's own account is used"),
}
NOT_OFFERED = {
    "template": "a template comes with the model, never with a request",
    "context": "send the conversation as messages to /api/chat",
    "suffix": "filling in the middle is not offered; send a prompt",
    "images": "models here read text alone",
    "truncate": "prompts that are too long are refused, never cut; leave it out",
    "shift": "the context is never shifted; leave it out",
    "width": "models here write text alone",
    "height": "models here write text alone",
    "steps": "models here write text alone",
}

_AS_IT_IS = "models are shown as they are; leave it out"
_ACCOUNT = "hubs are asked with the server's own account; leave it out"
NAME_NOT_OFFERED = {
    "system": _AS_IT_IS,
    "template": _AS_IT_IS,
    "options": _AS_IT_IS,
    "username": _ACCOUNT,
    "password": _ACCOUNT,
}
"""What Go's client always sends beside a name, empty."""


class CalledFunction(msgspec.Struct, forbid_unknown_fields=True):
    """What an assistant called."""

    name: str
    arguments: dict[str, Any]
    index: int | None = None


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call in an assistant's message."""

    function: CalledFunction
    id: str | None = None
    type: str | None = None


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    """One message of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: Any = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """What a tool is."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolSpec(msgspec.Struct, forbid_unknown_fields=True):
    """A tool that the model may call."""

    function: Function
    type: Literal["function"] | None = None


class Asked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What requests for text have in common; see `_FIELDS`."""

    model: str
    stream: bool | None = None
    format: Literal["", "json"] | dict[str, Any] | None = None
    options: msgspec.Raw = msgspec.Raw(b"null")
    think: bool | Literal["low", "medium", "high"] | None = None
    keep_alive: str | float | None = None
    logprobs: bool | None = None
    top_logprobs: TopLogprobs | None = None
    timeout_ms: float | None = None
    priority: int | None = None
    truncate: Any = None
    shift: Any = None
    template: Any = None


class ChatRequest(Asked, kw_only=True):
    """The body of POST /api/chat; see `CHAT_FIELDS`."""

    messages: list[Turn] | None = None
    tools: list[ToolSpec] | None = None


class GenerateRequest(Asked, kw_only=True):
    """The body of POST /api/generate; see `GENERATE_FIELDS`."""

    prompt: str | None = None
    system: str | None = None
    raw: bool | None = None
    suffix: Any = None
    context: Any = None
    images: Any = None
    width: Any = None
    height: Any = None
    steps: Any = None


class EmbedRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /api/embed; see `EMBED_FIELDS`."""

    model: str
    input: str | list[str]
    truncate: bool | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    options: Any = None
    keep_alive: Any = None
    timeout_ms: float | None = None
    priority: int | None = None


class OldEmbedRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /api/embeddings, which was before /api/embed."""

    model: str
    prompt: str
    options: Any = None
    keep_alive: Any = None


class NameRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /api/show and /api/pull."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None
    stream: bool | None = None
    insecure: Literal[False] | None = None
    system: Any = None
    template: Any = None
    options: Any = None
    username: Any = None
    password: Any = None


def check_offered(message: msgspec.Struct, refused: Mapping[str, str] = NOT_OFFERED) -> None:
    """Raises `BadInput` for what Ollama's API has, and this server has not: `refused`, with the reasons."""
    given: Mapping[str, Any] = {name: getattr(message, name, None) for name in refused}
    for name, value in given.items():
        if value not in (None, False, "", [], {}):
            raise wrong(name, f"{name} is not offered: {refused[name]}")
