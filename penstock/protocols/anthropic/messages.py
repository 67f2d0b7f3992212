"""The bodies of Anthropic's Messages API, and what of it is not offered."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from penstock.core.ranges import MaxTokens, Share, Temperature, TopK
from penstock.protocols.reading import read, wrong

FIELDS = {
    "model": "the name of a served model",
    "messages": 'a list of {"role", "content"}, with text as content or blocks of text, tool_use, tool_result, '
    "thinking and redacted_thinking",
    "max_tokens": "how many tokens to generate at most, 1 to 1000000",
    "system": "a text, or a list of text blocks",
    "stream": "true for events as they come",
    "stop_sequences": "at most 16 texts of 1 to 1024 characters",
    "temperature": "a number from 0 to 2",
    "top_p": "a number from 0 to 1",
    "top_k": "a whole number (0: all)",
    "tools": 'a list of {"name", "description", "input_schema"}',
    "tool_choice": '{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": ...} or {"type": "none"}',
    "thinking": '{"type": "enabled"}, {"type": "disabled"} or {"type": "adaptive"}; its budget_tokens bounds nothing: '
    "thoughts count into max_tokens alone",
    "output_config": '{"format": {"type": "json_schema", "schema": ...}}; its effort changes nothing: models here have '
    "one way to work",
    "metadata": "an object, which changes nothing",
    "cache_control": "an object, which changes nothing: prefixes are cached anyway",
    "service_tier": '"auto" or "standard_only"',
    "speed": '"standard"',
    "timeout_ms": "the time to answer in milliseconds",
    "priority": "a whole number from 1 (most urgent) to 9",
}
NOT_OFFERED = {
    "container": "there are no containers here",
    "context_management": "send the messages that the model is to read",
    "diagnostics": "the server's log and metrics tell of the prefix cache",
    "inference_geo": "the model runs where this server runs",
    "mcp_servers": "call the tools yourself, and send their results",
}


class TextBlock(msgspec.Struct, tag="text", forbid_unknown_fields=True):
    """A piece of text."""

    text: str
    cache_control: Any = None
    citations: Any = None


class ThinkingBlock(msgspec.Struct, tag="thinking", forbid_unknown_fields=True):
    """What the model thought before; `signature` is not looked at."""

    thinking: str
    signature: str = ""


class RedactedThinkingBlock(msgspec.Struct, tag="redacted_thinking", forbid_unknown_fields=True):
    """Thoughts that only Anthropic's servers can read: a conversation that began there may have them. No model here
    could, so they are left out, as clients may expect of thoughts that are not the model's own."""

    data: str


class ImageBlock(msgspec.Struct, tag="image"):
    """A picture, which no model here reads; known, so that its refusal can say so."""


class DocumentBlock(msgspec.Struct, tag="document"):
    """A file, likewise."""


class ToolUseBlock(msgspec.Struct, tag="tool_use", forbid_unknown_fields=True):
    """A call that the model made."""

    id: str
    name: str
    input: dict[str, Any]
    cache_control: Any = None
    caller: Any = None
    toolset_name: str | None = None


class ToolResultBlock(msgspec.Struct, tag="tool_result", forbid_unknown_fields=True):
    """What a call gave."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None
    cache_control: Any = None
    toolset_name: str | None = None


Block = TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock | ImageBlock | DocumentBlock


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    """One message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolSpec(msgspec.Struct, forbid_unknown_fields=True):
    """A tool of the client's, or (by its `type`) one of Anthropic's own, which are not offered."""

    name: str = ""
    input_schema: dict[str, Any] | None = None
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    input_examples: list[Any] | None = None


class ToolChoice(msgspec.Struct, forbid_unknown_fields=True):
    """Whether to call a tool, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, forbid_unknown_fields=True):
    """Whether to think first. `budget_tokens` bounds nothing: thoughts count into max_tokens alone."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: MaxTokens | None = None
    display: Literal["summarized", "omitted"] | None = None


class JsonFormat(msgspec.Struct, forbid_unknown_fields=True):
    """The schema that the answer follows."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The form of the answer. `effort` is a hint, and models here have one way to work."""

    format: JsonFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class CountRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/messages/count_tokens; see `FIELDS`."""

    model: str
    messages: list[Turn]
    system: str | list[TextBlock] | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: Any = None
    speed: Literal["standard"] | None = None
    timeout_ms: float | None = None
    priority: int | None = None
    container: Any = None
    context_management: Any = None
    diagnostics: Any = None
    inference_geo: Any = None
    mcp_servers: Any = None


class MessagesRequest(CountRequest, kw_only=True):
    """The body of POST /v1/messages; see `FIELDS`."""

    max_tokens: MaxTokens
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: TopK | None = None
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None


_messages = msgspec.json.Decoder(MessagesRequest)
_count = msgspec.json.Decoder(CountRequest)
_COUNT_FIELDS = {name: says for name, says in FIELDS.items() if name in CountRequest.__struct_fields__}


def read_messages(body: bytes | bytearray) -> MessagesRequest:
    """The message of a request for an answer. Raises `BadInput` naming the field, `TooLarge`."""
    message = read(_messages, body, FIELDS)
    check_offered(message)
    return message


def read_count(body: bytes | bytearray) -> CountRequest:
    """The message of a request for a number of tokens. Raises `BadInput` naming the field, `TooLarge`."""
    message = read(_count, body, _COUNT_FIELDS)
    check_offered(message)
    return message


def check_offered(message: CountRequest) -> None:
    """Raises `BadInput` for what Anthropic's API has, and this server has not."""
    for name, says in NOT_OFFERED.items():
        if getattr(message, name) is not None:
            raise wrong(name, f"{name} is not offered: {says}")
