"""A conversation as Anthropic's messages of blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from penstock.core.generation import Message
from penstock.runtimes.remote.asking import arguments_of
from penstock.runtimes.remote.calls import safe_id


def messages(turns: Sequence[Sequence[Message]]) -> list[dict[str, Any]]:
    """The turns; thoughts of earlier answers are left out, as they would need Anthropic's signature."""
    return [_message(turn) for turn in turns]


def _message(turn: Sequence[Message]) -> dict[str, Any]:
    role = "assistant" if turn[0].role == "assistant" else "user"
    blocks = [block for message in turn for block in _blocks(message)]
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return {"role": role, "content": blocks[0]["text"]}
    return {"role": role, "content": blocks}


def _blocks(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "tool_result", "tool_use_id": safe_id(message.call_id), "content": message.content}
        return
    if message.content:
        yield {"type": "text", "text": message.content}
    for call in message.calls:
        yield {"type": "tool_use", "id": safe_id(call.id), "name": call.name, "input": arguments_of(call.arguments)}
