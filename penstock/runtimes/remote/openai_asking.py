"""Requests for generated text as OpenAI's API writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.core.generation import Call, Generation, Message, Tool
from penstock.runtimes.remote.asking import short

Body = dict[str, Any]


def chat_of(asked: Generation, messages: tuple[Message, ...], id_of: Callable[[str], str] = str) -> Body:
    """A conversation with its tools and its format. `id_of`: a call's id as the provider takes it."""
    body: Body = {"messages": [message_of(message, id_of) for message in messages]}
    if asked.tools:
        body["tools"] = [tool_of(tool) for tool in asked.tools]
        if asked.tool_choice != "auto":
            body["tool_choice"] = choice_of(asked.tool_choice)
        if not asked.parallel_calls:
            body["parallel_tool_calls"] = False
    if asked.format is not None:
        body["response_format"] = format_of(asked.format)
    return body


def message_of(message: Message, id_of: Callable[[str], str] = str) -> Body:
    """One turn."""
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": id_of(message.call_id), "content": message.content}
    body: Body = {"role": message.role, "content": message.content}
    if message.name:
        body["name"] = message.name
    if message.calls:
        body["tool_calls"] = [call_of(call, id_of) for call in message.calls]
        if not message.content:
            body["content"] = None
    return body


def call_of(call: Call, id_of: Callable[[str], str]) -> Body:
    """An earlier call."""
    return {
        "id": id_of(call.id),
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }


def tool_of(tool: Tool) -> Body:
    """A function that may be called."""
    function: Body = {"name": tool.name, "parameters": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        function["description"] = tool.description
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def choice_of(choice: str) -> Any:
    """Which tools may or must be called."""
    return {"type": "function", "function": {"name": choice[1:]}} if choice.startswith("=") else choice


def format_of(schema: dict[str, Any]) -> Body:
    """The form of the answer. OpenAI only promises to follow schemas of a strict kind."""
    if not schema:
        return {"type": "json_object"}
    named = {"name": "answer", "schema": schema, "strict": is_strict(schema)}
    return {"type": "json_schema", "json_schema": named}


def is_strict(schema: Any) -> bool:
    """Whether every object in a schema names all its properties as required, and allows no others."""
    if isinstance(schema, list):
        return all(map(is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        known = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False
        if not closed or set(known) != set(schema.get("required", ())) or not all(map(is_strict, known.values())):
            return False
    return all(is_strict(value) for key, value in schema.items() if key not in ("properties", "enum", "const"))


def sampling_of(asked: Generation, longest: str) -> Body:
    """How tokens are chosen, as far as OpenAI's API has it. `longest`: its name of the longest answer."""
    wanted = asked.sampling
    body = short(
        {
            longest: wanted.max_tokens,
            "temperature": wanted.temperature,
            "top_p": wanted.top_p,
            "seed": wanted.seed,
            "presence_penalty": wanted.presence_penalty or None,
            "frequency_penalty": wanted.frequency_penalty or None,
            "stop": list(wanted.stop) or None,
            "n": asked.choices if asked.choices != 1 else None,
        }
    )
    if wanted.logit_bias:
        body["logit_bias"] = {str(token): bias for token, bias in wanted.logit_bias.items()}
    return body


def own_sampling_of(asked: Generation) -> Body:
    """What vLLM and its like have beside OpenAI's settings."""
    wanted = asked.sampling
    return short(
        {
            "top_k": wanted.top_k,
            "min_p": wanted.min_p,
            "repetition_penalty": wanted.repetition_penalty,
            "min_tokens": wanted.min_tokens or None,
            "ignore_eos": True if wanted.ignore_eos else None,
            "stop_token_ids": list(wanted.stop_token_ids) or None,
        }
    )
