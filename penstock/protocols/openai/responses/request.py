"""OpenAI's responses request as a request for generated text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from penstock.core.generation import Generation, Tool
from penstock.core.ranges import MaxTokens
from penstock.protocols.generation.limits import check_schema, tools_of
from penstock.protocols.openai import dialogue
from penstock.protocols.openai.dialogue import DIALOGUE_FIELDS, DialogueFields, Effort, thinks
from penstock.protocols.openai.responses.conversation import Item, conversation_of
from penstock.protocols.openai.sampling import refuse, sampling_of
from penstock.protocols.openai.tools import choice_of, only_functions
from penstock.protocols.reading import read, wrong

FIELDS: Mapping[str, str] = {
    "input": "a text, or a list of items: messages, function_call, function_call_output, reasoning",
    "model": "the name of a served model",
    "instructions": "a text that goes before the input, as a system message",
    **DIALOGUE_FIELDS,
    "max_output_tokens": "how many tokens an answer has at most, 1 to 1000000; without, what the context holds",
    "top_logprobs": "how many of the likeliest tokens to show beside each, 0 to 20",
    "include": '["message.output_text.logprobs"] to have the log-probability of each token',
    "text": '{"format": {"type": "text"}}, or of type json_object, or json_schema with name and schema',
    "tools": 'a list of functions: {"type": "function", "name": ..., "parameters": JSON Schema}',
    "tool_choice": '"auto", "none", "required", or {"type": "function", "name": "..."}',
    "reasoning": '{"effort": "none"} to answer at once; any other effort to reason first',
    "stream_options": "an object; include_obfuscation changes nothing",
    "metadata": "an object of texts; it comes back with the answer",
}
_STORED = "nothing is stored here; send the whole conversation as input"
NOT_OFFERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    **dialogue.NOT_OFFERED,
    "previous_response_id": ((), _STORED),
    "conversation": ((), _STORED),
    "prompt": ((), _STORED),
    "background": ((False,), "the answer comes with the request; send stream: true to read it as it comes"),
    "truncation": (("disabled",), "prompts are not cut; send fewer items"),
    "max_tool_calls": ((), "it bounds tools that run on the server, and none do here"),
    "context_management": ((), "prompts are not cut; send fewer items"),
}
LOGPROBS = "message.output_text.logprobs"
INCLUDES = (LOGPROBS, "reasoning.encrypted_content")
"""What may be included; reasoning comes as it is, which makes its encrypted form unnecessary."""


class TextFormat(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The format of an answer's text."""

    type: str
    name: str | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextSettings(msgspec.Struct, forbid_unknown_fields=True):
    """How the text shall be."""

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningSettings(msgspec.Struct, forbid_unknown_fields=True):
    """Whether to reason first. A summary is not made: the reasoning itself comes with the answer."""

    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None


class FunctionTool(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A function that the model may call."""

    type: str
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponsesRequest(DialogueFields, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/responses; see `FIELDS`, and `NOT_OFFERED` for the rest."""

    input: str | list[Item]
    model: str
    instructions: str | None = None
    max_output_tokens: MaxTokens | None = None
    include: list[str] | None = None
    text: TextSettings | None = None
    tools: list[dict[str, Any]] | None = None
    reasoning: ReasoningSettings | None = None
    stream_options: dict[Literal["include_obfuscation"], bool] | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    background: Any = None
    truncation: Any = None
    max_tool_calls: Any = None
    context_management: Any = None


_decoder = msgspec.json.Decoder(ResponsesRequest)


def read_responses(body: bytes | bytearray) -> tuple[ResponsesRequest, Generation]:
    """The message, and what it asks for. Raises `BadInput` and `TooLarge`, naming the field."""
    message = read(_decoder, body, FIELDS)
    refuse(message, NOT_OFFERED)
    choice, tools = choice_of(message.tool_choice, function_tools(message.tools or []))
    return message, Generation(
        messages=conversation_of(message.input, message.instructions),
        sampling=sampling_of(message, message.max_output_tokens, logprobs_of(message)),
        tools=tools,
        tool_choice=choice,
        parallel_calls=message.parallel_tool_calls is not False,
        format=schema_of(message.text),
        think=None if message.reasoning is None else thinks(message.reasoning.effort),
    )


def function_tools(given: list[dict[str, Any]]) -> tuple[Tool, ...]:
    """The tools. Raises `BadInput` naming the one that cannot be one."""
    return tools_of((f"tools[{index}]", _tool(tool, index)) for index, tool in enumerate(given))


def _tool(given: dict[str, Any], index: int) -> Tool:
    if given.get("type") != "function":
        raise only_functions(index, str(given.get("type")))
    try:
        tool = msgspec.convert(given, FunctionTool)
    except msgspec.ValidationError as error:
        raise wrong("tools", f"tools[{index}]: {str(error)[:300]}; tools is {FIELDS['tools']}") from None
    return Tool(tool.name, tool.description or "", tool.parameters or {}, bool(tool.strict))


def logprobs_of(message: ResponsesRequest) -> int | None:
    """How many alternatives to show beside each token; None for no log-probabilities at all."""
    wanted = message.include or []
    for each in wanted:
        if each not in INCLUDES:
            raise wrong("include", f"include has {each[:64]!r}; it may have: {', '.join(INCLUDES)}")
    if LOGPROBS in wanted or message.top_logprobs:
        return message.top_logprobs or 0
    return None


def schema_of(text: TextSettings | None) -> dict[str, Any] | None:
    """The schema that the answer follows: None for free text, {} for any JSON object. Raises `BadInput`."""
    format = None if text is None else text.format
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return {}
    if format.type != "json_schema" or format.schema is None:
        says = f"text.format is of type {format.type[:64]!r}; it is text, json_object, or json_schema with a schema"
        raise wrong("text", says)
    check_schema(format.schema, "text", "text.format.schema")
    return format.schema
