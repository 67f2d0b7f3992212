"""The input items of the responses API as the turns of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.generation import Call, Message
from penstock.protocols.generation.limits import MAX_MESSAGES, arguments_of, check_count
from penstock.protocols.openai.content import Content, Part, text_of
from penstock.protocols.reading import wrong

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_KINDS = "message, function_call, function_call_output and reasoning"


class Item(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One item of the input, with everything that an answer's items have, so that they can be sent back."""

    type: str = "message"
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: Content = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: Content = None
    summary: list[Part] | None = None
    encrypted_content: Any = None
    namespace: Any = None
    caller: Any = None
    created_by: Any = None


class Growing:
    """An assistant's turn under way: what it thought, said and called in a row."""

    def __init__(self) -> None:
        self.thoughts: list[str] = []
        self.text = ""
        self.calls: list[Call] = []

    def whole(self) -> Message:
        """All of it."""
        return Message("assistant", self.text, tuple(self.calls), reasoning="".join(self.thoughts))


class Turns:
    """Items put together: what an assistant thought, said and called in a row is one turn."""

    def __init__(self, instructions: str | None):
        self._turns: list[Message] = [Message("system", instructions)] if instructions else []
        self._open: Growing | None = None
        self._called: dict[str, str] = {}

    def add(self, item: Item, place: str) -> None:
        """The next item. Raises `BadInput` naming the item that cannot be read."""
        if item.type == "reasoning":
            self._thinks(item, place)
        elif item.type == "function_call":
            self._calls(item, place)
        elif item.type == "function_call_output":
            self._returns(item, place)
        elif item.type == "message":
            self._says(item, place)
        else:
            raise wrong(place, f"{place} is of type {item.type[:64]!r}; items are {_KINDS}, and nothing is stored here")

    def whole(self) -> tuple[Message, ...]:
        """All turns."""
        self._end()
        return tuple(self._turns)

    def _end(self) -> None:
        if self._open is not None:
            self._turns.append(self._open.whole())
            self._open = None

    def _fresh(self) -> Growing:
        """The assistant's turn under way, unless it said or called something already: then a new one."""
        if self._open is not None and (self._open.text or self._open.calls):
            self._end()
        return self._assistant()

    def _assistant(self) -> Growing:
        """The assistant's turn under way, or a new one."""
        if self._open is None:
            self._open = Growing()
        return self._open

    def _thinks(self, item: Item, place: str) -> None:
        said = item.content if item.content is not None else list(item.summary or ())
        self._fresh().thoughts.append(text_of(said, f"{place}.content", place))

    def _says(self, item: Item, place: str) -> None:
        role = ROLES.get(item.role or "")
        if role is None:
            says = f"{place}.role is {str(item.role)[:64]!r}; roles are {', '.join(ROLES)}"
            raise wrong(f"{place}.role", says)
        text = text_of(item.content, f"{place}.content", f"{place}.content")
        if role == "assistant":
            self._fresh().text = text
            return
        self._end()
        self._turns.append(Message("user" if role == "user" else "system", text))

    def _calls(self, item: Item, place: str) -> None:
        if not item.call_id or not item.name:
            raise wrong(place, f"{place} is a function_call; it needs call_id, name and arguments")
        where = f"{place}.arguments"
        call = Call(item.call_id, item.name, arguments_of(item.arguments or "", where, where))
        self._called[call.id] = call.name
        self._assistant().calls.append(call)

    def _returns(self, item: Item, place: str) -> None:
        if not item.call_id or item.call_id not in self._called:
            says = f"{place}.call_id is {str(item.call_id)[:128]!r}, but no function_call before it has that call_id"
            raise wrong(f"{place}.call_id", says)
        text = text_of(item.output, f"{place}.output", f"{place}.output")
        self._end()
        self._turns.append(Message("tool", text, call_id=item.call_id, name=self._called[item.call_id]))


def conversation_of(given: str | Sequence[Item], instructions: str | None) -> tuple[Message, ...]:
    """The turns of an input. Raises `BadInput` naming the item that cannot be read."""
    turns = Turns(instructions)
    if isinstance(given, str):
        turns.add(Item(role="user", content=given), "input")
        return turns.whole()
    check_count("input", given, MAX_MESSAGES, least=1)
    for index, item in enumerate(given):
        turns.add(item, f"input[{index}]")
    return turns.whole()
