"""What may be asked of generated text at most, whatever the dialect, and what is wrong with the rest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from penstock.core.errors import TooLarge
from penstock.core.generation import Tool
from penstock.core.ranges import LEAST_SHARE
from penstock.protocols.reading import wrong

MAX_CHOICES = 128
MAX_STOPS = 16
MAX_STOP = 1024
MAX_TOOLS = 128
MAX_MESSAGES = 10_000
MAX_BIASES = 1024
MAX_DEPTH = 64
MAX_SCHEMA = 256 * 2**10
"""Bytes of one JSON Schema."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch

Choices = Annotated[int, Meta(ge=1, le=MAX_CHOICES)]
TopLogprobs = Annotated[int, Meta(ge=0, le=20)]
TokenId = Annotated[int, Meta(ge=0, le=2**31 - 1)]


def seed_of(seed: int | None) -> int | None:
    """A seed as engines take it: not negative."""
    return None if seed is None else seed & (2**63 - 1)


def top_p_of(share: float | None) -> float | None:
    """A nucleus that holds at least the likeliest token."""
    return None if share is None else max(share, LEAST_SHARE)


def top_k_of(count: int | None) -> int | None:
    """0 for all tokens, which some clients write as -1."""
    return None if count is None else max(count, 0)


def stops_of(given: str | Sequence[str] | None, field: str = "stop") -> tuple[str, ...]:
    """The stop strings. Raises `BadInput` for an empty one, too many, or one too long."""
    stops = (given,) if isinstance(given, str) else tuple(given or ())
    if len(stops) > MAX_STOPS:
        raise wrong(field, f"{field} has {len(stops)} texts, at most {MAX_STOPS}")
    for index, stop in enumerate(stops):
        place = field if isinstance(given, str) else f"{field}[{index}]"
        if not stop:
            raise wrong(field, f"{place} is empty; leave it out")
        if len(stop) > MAX_STOP:
            raise wrong(field, f"{place} has {len(stop)} characters, at most {MAX_STOP}")
    return stops


def check_count(field: str, items: Sequence[Any], most: int, least: int = 0) -> None:
    """Raises `BadInput` for too few items, `TooLarge` for too many."""
    if len(items) < least:
        raise wrong(field, f"{field} is empty; send at least one")
    if len(items) > most:
        raise wrong(field, f"{field} has {len(items)} items, at most {most}", TooLarge)


def tools_of(given: Iterable[tuple[str, Tool]]) -> tuple[Tool, ...]:
    """Tools, each with its place in the message, checked. Raises `BadInput` naming the place."""
    tools: dict[str, Tool] = {}
    for place, tool in given:
        if len(tools) == MAX_TOOLS:
            raise wrong("tools", f"tools has over {MAX_TOOLS} items; send fewer", TooLarge)
        if not _NAME(tool.name):
            says = "must be 1 to 128 letters, digits, underscores and dashes"
            raise wrong("tools", f"the name of {place} {says}, got {tool.name[:64]!r}")
        if tool.name in tools:
            raise wrong("tools", f"{place} has the name of an earlier one: {tool.name!r}; names must differ")
        check_schema(tool.parameters, "tools", f"the parameters of {place}")
        tools[tool.name] = tool
    return tuple(tools.values())


def named_tool(name: str, tools: Sequence[Tool]) -> str:
    """A choice of this very tool, "=NAME". Raises `BadInput` when there is no such tool."""
    if any(tool.name == name for tool in tools):
        return f"={name}"
    known = ", ".join(tool.name for tool in tools[:10]) or "none"
    raise wrong("tool_choice", f"tool_choice names {name[:128]!r}, but the tools are: {known}")


def check_schema(schema: dict[str, Any], field: str, place: str) -> None:
    """Raises `BadInput` for a JSON Schema that is nested too deeply or too long; what it says is checked later."""
    if _depth(schema) > MAX_DEPTH:
        raise wrong(field, f"{place}: the schema is nested over {MAX_DEPTH} deep")
    size = len(msgspec.json.encode(schema))
    if size > MAX_SCHEMA:
        raise wrong(field, f"{place}: the schema has {size} bytes, at most {MAX_SCHEMA}", TooLarge)


def arguments_of(text: str, field: str, place: str) -> str:
    """The arguments of an earlier tool call: a JSON object, as text. Raises `BadInput` for anything else."""
    if not text.strip():
        return "{}"
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        value = None
    if not isinstance(value, dict) or _depth(value) > MAX_DEPTH:
        raise wrong(field, f"{place} must be a JSON object as text, at most {MAX_DEPTH} deep")
    return text


def _depth(value: Any) -> int:
    """How deep lists and objects are nested."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth
