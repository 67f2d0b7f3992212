"""A JSON message to its type, and what its sender is told when it does not fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from penstock.core.errors import BadInput
from penstock.protocols.json_tensors import check_size

_T = TypeVar("_T")
_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `\$\.([^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(\w+)`$")
_WRONG = re.compile(r"(.*) - at (?:`key` in )?`\$\.(\w+)(.*)`$", re.DOTALL)


def read(decoder: msgspec.json.Decoder[_T], body: bytes | bytearray, fields: Mapping[str, str]) -> _T:
    """The message. `fields` says what each field takes, in words for people.

    Raises `BadInput` naming the field (also as its `param`), `TooLarge` for more values than are worth parsing.
    """
    check_size(body)
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(str(error), fields) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None


def wrong(field: str, message: str, kind: type[BadInput] = BadInput) -> BadInput:
    """A refusal that blames one field of the message."""
    error = kind(message)
    error.param = field
    return error


def _misfit(says: str, fields: Mapping[str, str]) -> BadInput:
    if found := _UNKNOWN.search(says):
        name, place = found[1][:64], found[2]
        if place:
            return wrong(f"{place}.{name}", f"unknown field {name!r} in {place}; leave it out")
        return wrong(name, f"unknown field {name!r}; this path takes: {', '.join(fields)}")
    if found := _MISSING.search(says):
        return wrong(found[1], f"{found[1]} is missing; it is {fields[found[1]]}")
    if found := _WRONG.match(says):
        what, field, place = found.groups()
        return wrong(field, f"{field}{place}: {what[:1].lower()}{what[1:200]}; {field} is {fields[field]}")
    return BadInput(f"the body must be a JSON object with: {', '.join(fields)}")
