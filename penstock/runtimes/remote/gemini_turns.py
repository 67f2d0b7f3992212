"""A conversation as Gemini's contents of parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from penstock.core.generation import Call, Message
from penstock.runtimes.remote.asking import arguments_of
from penstock.runtimes.remote.calls import SIGNATURE, new_id

UNSIGNED = "skip_thought_signature_validator"
"""What Google's documentation gives for calls that another model made."""


def contents(turns: Sequence[Sequence[Message]], *, signed: bool) -> list[dict[str, Any]]:
    """The turns. `signed`: every turn's first call must have a signature, or say that it has none."""
    names = {call.id: call.name for turn in turns for message in turn for call in message.calls}
    return [_content(turn, names, signed) for turn in turns]


def id_of(signature: str) -> str:
    """A new id for a call. It carries the thought signature that came with the call, because Gemini wants it back and
    no other protocol has a place for it."""
    plain = signature.rstrip("=").replace("+", "-").replace("/", "_")
    return f"{new_id()}{SIGNATURE}{plain}" if plain else new_id()


def signature_of(id: str) -> str:
    """The signature that an id carries; "" for none."""
    return id.partition(SIGNATURE)[2]


def _content(turn: Sequence[Message], names: dict[str, str], signed: bool) -> dict[str, Any]:
    role = "model" if turn[0].role == "assistant" else "user"
    return {"role": role, "parts": [part for message in turn for part in _parts(message, names, signed)]}


def _parts(message: Message, names: dict[str, str], signed: bool) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        name = message.name or names.get(message.call_id, message.call_id)
        yield {"functionResponse": {"name": name, "response": _response(message.content)}}
        return
    if message.content:
        yield {"text": message.content}
    for index, call in enumerate(message.calls):
        yield _called(call, UNSIGNED if signed and index == 0 else "")


def _called(call: Call, otherwise: str) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": call.name, "args": arguments_of(call.arguments)}}
    signature = signature_of(call.id) or otherwise
    return part | {"thoughtSignature": _padded(signature)} if signature else part


def _padded(signature: str) -> str:
    return signature + "=" * (-len(signature) % 4)


def _response(content: str) -> dict[str, Any]:
    """What a tool gave, as the object that Gemini asks for."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        found = content
    return found if isinstance(found, dict) else {"result": found}
