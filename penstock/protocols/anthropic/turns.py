"""Anthropic's blocks put together to the messages of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.core.errors import BadInput
from penstock.core.generation import Call, Message, Role
from penstock.protocols.anthropic.messages import (
    Block,
    DocumentBlock,
    ImageBlock,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
)
from penstock.protocols.reading import wrong


class Growing:
    """One message under way: what stands in blocks that follow each other."""

    def __init__(self, role: Role):
        self.role = role
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.calls: list[Call] = []

    def whole(self) -> Message:
        """All of it; blocks are lines."""
        text, thoughts = "\n".join(filter(None, self.texts)), "\n".join(filter(None, self.thoughts))
        return Message(self.role, text, tuple(self.calls), reasoning=thoughts)


class Talk:
    """A conversation so far, and the names of the tools that were called in it, by call id."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._open: Growing | None = None
        self._called: dict[str, str] = {}

    def whole(self) -> tuple[Message, ...]:
        """All messages."""
        self._end()
        return tuple(self._messages)

    def turn(self, turn: Turn, where: str) -> None:
        """The next turn; `where` names it in errors."""
        if isinstance(turn.content, str):
            self.say(turn.role, turn.content)
            return
        if not turn.content:
            raise wrong("messages", f"{where}.content is empty; send at least one block")
        for index, block in enumerate(turn.content):
            self._block(turn.role, block, f"{where}.content[{index}]")

    def say(self, role: Role, text: str) -> None:
        """More text of a role."""
        self._growing(role).texts.append(text)

    def _growing(self, role: Role) -> Growing:
        """The message under way, or a new one where another role spoke before."""
        if self._open is None or self._open.role != role:
            self._end()
            self._open = Growing(role)
        return self._open

    def _end(self) -> None:
        if self._open is not None:
            self._messages.append(self._open.whole())
            self._open = None

    def _block(self, role: Role, block: Block, where: str) -> None:
        if isinstance(block, TextBlock):
            self.say(role, block.text)
        elif isinstance(block, ToolResultBlock):
            self._result(role, block, where)
        elif isinstance(block, ImageBlock | DocumentBlock):
            raise _no_text(block, where)
        elif role != "assistant":
            raise wrong("messages", f"{where}: only the assistant's messages have such blocks")
        else:
            self._assistants(block)

    def _assistants(self, block: ThinkingBlock | RedactedThinkingBlock | ToolUseBlock) -> None:
        growing = self._growing("assistant")
        if isinstance(block, ThinkingBlock):
            growing.thoughts.append(block.thinking)
        elif isinstance(block, ToolUseBlock):
            self._called[block.id] = block.name
            growing.calls.append(Call(block.id, block.name, msgspec.json.encode(block.input).decode()))

    def _result(self, role: Role, block: ToolResultBlock, where: str) -> None:
        if role != "user":
            raise wrong("messages", f"{where}: a tool_result belongs into a user's message")
        name = self._called.get(block.tool_use_id)
        if name is None:
            raise wrong("messages", f"{where}.tool_use_id answers no tool_use of the messages before it")
        text = joined(block.content or "", f"{where}.content")
        said = f"Error: {text}" if block.is_error else text
        self._end()
        self._messages.append(Message("tool", said, call_id=block.tool_use_id, name=name))


def joined(content: str | Sequence[TextBlock | ImageBlock | DocumentBlock], where: str = "") -> str:
    """The text of a text, or of blocks. Raises `BadInput` for blocks of another kind; `where` names them."""
    return content if isinstance(content, str) else "\n".join(_text(b, f"{where}[{i}]") for i, b in enumerate(content))


def _text(block: TextBlock | ImageBlock | DocumentBlock, where: str) -> str:
    if not isinstance(block, TextBlock):
        raise _no_text(block, where)
    return block.text


def _no_text(block: ImageBlock | DocumentBlock, where: str) -> BadInput:
    kind = "an image" if isinstance(block, ImageBlock) else "a document"
    return wrong("messages", f"{where} is {kind}: models here read text only; send what it says as a text block")
