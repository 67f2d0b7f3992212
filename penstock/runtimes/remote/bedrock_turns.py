"""A conversation as Bedrock's messages of content blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.core.generation import Message
from penstock.runtimes.remote.asking import arguments_of
from penstock.runtimes.remote.calls import safe_id


def messages(turns: Sequence[Sequence[Message]]) -> list[dict[str, Any]]:
    """The turns; thoughts of earlier answers are left out, as they would need their maker's signature."""
    return [
        {
            "role": "assistant" if turn[0].role == "assistant" else "user",
            "content": [block for message in turn for block in _blocks(message)],
        }
        for turn in turns
    ]


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"toolResult": {"toolUseId": safe_id(message.call_id), "content": [{"text": message.content}]}}
        return
    if message.content:
        yield {"text": message.content}
    for call in message.calls:
        yield {"toolUse": {"toolUseId": safe_id(call.id), "name": call.name, "input": arguments_of(call.arguments)}}
