"""A conversation as Cohere's messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from penstock.core.generation import Message
from penstock.runtimes.remote.asking import short
from penstock.runtimes.remote.calls import plain_id


def messages(conversation: Iterable[Message]) -> list[dict[str, Any]]:
    """The messages; those without anything in them are left out."""
    return [found for message in conversation for found in _message(message)]


def _message(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"role": "tool", "tool_call_id": plain_id(message.call_id), "content": message.content}
    elif message.calls:
        yield _calling(message)
    elif message.content:
        yield {"role": message.role, "content": message.content}


def _calling(message: Message) -> dict[str, Any]:
    """An answer that calls tools; what was thought before is the plan that goes with them."""
    calls = [
        {
            "id": plain_id(call.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        for call in message.calls
    ]
    return short(
        {
            "role": "assistant",
            "tool_calls": calls,
            "tool_plan": message.reasoning or None,
            "content": message.content or None,
        }
    )
