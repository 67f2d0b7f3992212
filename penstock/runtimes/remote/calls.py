"""Tool calls as providers stream them, told once they are whole."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Hashable
from dataclasses import dataclass, field

import msgspec

from penstock.core.generation import CallArguments, CallStarted, Event

SIGNATURE = "-sig-"
"""What stands in an id before the signature that it carries."""
LONGEST_ID = 40
"""Characters of an id that the strictest provider takes."""
_OTHERS = re.compile(r"[^A-Za-z0-9_-]")
_ALPHABET = string.ascii_letters + string.digits


class BrokenCall(ValueError):
    """The arguments of a call are no JSON object."""


@dataclass(slots=True)
class _Open:
    id: str
    name: str
    parts: list[str] = field(default_factory=list)
    over: bool = False


class Calls:
    """The calls of one choice. One that was cut short is not told at all, so that clients never read half a JSON
    document. `one`: only the first is told, as the request asked for. `told`: how many there were."""

    __slots__ = ("_choice", "_one", "_open", "told")

    def __init__(self, choice: int = 0, *, one: bool = False):
        self._choice = choice
        self._one = one
        self._open: dict[Hashable, _Open] = {}
        self.told = 0

    def begin(self, key: Hashable, id: str, name: str) -> None:
        """A call begins. `key`: what its later parts call it."""
        self._open[key] = _Open(id, name)

    def more(self, key: Hashable, text: str) -> None:
        """More of its arguments. Raises `BrokenCall` for a call that never began."""
        if key not in self._open:
            raise BrokenCall
        self._open[key].parts.append(text)

    def finish(self, key: Hashable) -> list[Event]:
        """No more of this call comes: the events of those that are surely whole. One without arguments may have been
        cut before them, and waits for what follows it; one that is no JSON object waits for `end`."""
        if key not in self._open:
            return []
        self._open[key].over = True
        news: list[Event] = []
        for other, call in list(self._open.items()):
            text = "".join(call.parts).strip()
            if call.over and (_is_object(text) or (not text and other != key)):
                news += self._tell(other, text)
        return news

    def end(self, *, cut: bool) -> list[Event]:
        """The answer is over: the events of what is still open. `cut`: it was cut short, and so was the last call.
        Raises `BrokenCall` for arguments that are no JSON object in an answer that was not."""
        news: list[Event] = []
        for key, call in list(self._open.items()):
            text = "".join(call.parts).strip()
            if _is_object(text) or (not text and not cut):
                news += self._tell(key, text)
            elif not cut:
                raise BrokenCall
        return news

    def _tell(self, key: Hashable, text: str) -> list[Event]:
        call = self._open.pop(key)
        return self.whole(call.id, call.name, text or "{}")

    def whole(self, id: str, name: str, arguments: str) -> list[Event]:
        """The events of a call that came in one piece."""
        if self._one and self.told:
            return []
        index, self.told = self.told, self.told + 1
        return [
            CallStarted(self._choice, index, id or new_id(), name),
            CallArguments(self._choice, index, arguments),
        ]


def new_id() -> str:
    """An id for a call of a provider that gives none."""
    return "call_" + "".join(secrets.choice(_ALPHABET) for _ in range(24))


def plain_id(id: str) -> str:
    """The id of an earlier call as every provider takes it: as it is, unless it is too long. Ids that carry a signature
    (see `gemini_turns`) go without it."""
    plain = id.partition(SIGNATURE)[0]
    return plain if len(plain) <= LONGEST_ID else f"call_{hashlib.blake2b(id.encode(), digest_size=12).hexdigest()}"


def safe_id(id: str) -> str:
    """The same for providers that take letters, digits, underscores and dashes alone."""
    return _OTHERS.sub("_", plain_id(id))


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
