"""What a caller wishes of a route, and of kept answers, from the headers of its request."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from penstock.core.errors import BadInput
from penstock.core.request import Hints

FIELDS: dict[str, str] = {
    "X-Penstock-Budget": "what the answer may cost: a number of USD from 0 on, or standard, or premium",
    "X-Penstock-Quality": "how good the answer has to be: a number from 0 (anything) to 1 (the best)",
    "X-Penstock-Max-Latency": "how long the whole answer may take: a number of seconds over 0, or such as 800ms or 2s",
    "X-Penstock-Session": "what belongs together: 1 to 256 visible ASCII characters",
    "X-Penstock-Pin": "the model of the route that is to answer: 1 to 256 visible ASCII characters",
    "Cache-Control": "of kept answers: no-cache, no-store, only-if-cached, or max-age=SECONDS",
}
"""The headers, and what each takes."""
_SESSION, _PIN, _CACHE = b"x-penstock-session", b"x-penstock-pin", b"cache-control"
_BUDGET, _QUALITY, _LATENCY = b"x-penstock-budget", b"x-penstock-quality", b"x-penstock-max-latency"
_NAMES = frozenset((_BUDGET, _QUALITY, _LATENCY, _SESSION, _PIN, _CACHE))
_NUMBER = re.compile(rb"[0-9]{1,12}(\.[0-9]{0,18})?(e-?[0-9]{1,2})?|\.[0-9]{1,18}", re.IGNORECASE).fullmatch
_NAME = re.compile(rb"[\x21-\x7e]{1,256}").fullmatch
_SECONDS = re.compile(rb'"?([0-9]{1,10})"?').fullmatch


def hints_of(headers: dict[bytes, bytes]) -> Hints | None:
    """The wishes; None where there are none. Raises `BadInput` for one that cannot be read, naming the header."""
    if _NAMES.isdisjoint(headers):
        return None
    found: dict[str, Any] = {}
    for name, (field, read) in _READERS.items():
        if name in headers:
            found[field] = read(headers[name].strip())
    if _CACHE in headers:
        found |= _kept(headers[_CACHE])
    return Hints(**found) if found else None


def _budget(given: bytes) -> float | str:
    word = given.lower()
    return word.decode() if word in (b"standard", b"premium") else _number(given, "X-Penstock-Budget")


def _quality(given: bytes) -> float:
    return _number(given, "X-Penstock-Quality", 1.0)


def _latency(given: bytes) -> float:
    """Seconds."""
    number, word = given.lower(), "X-Penstock-Max-Latency"
    if number.endswith(b"ms"):
        seconds = _number(number[:-2].rstrip(), word) / 1000
    else:
        seconds = _number(number.removesuffix(b"s").rstrip(), word)
    if not seconds:
        raise _wrong(word)
    return seconds


def _number(given: bytes, header: str, most: float = math.inf) -> float:
    """A number from 0 on, finite."""
    if not _NUMBER(given) or not float(given) <= most:
        raise _wrong(header)
    return float(given)


def _session(given: bytes) -> str:
    return _name(given, "X-Penstock-Session")


def _pin(given: bytes) -> str:
    return _name(given, "X-Penstock-Pin")


def _name(given: bytes, header: str) -> str:
    if not _NAME(given):
        raise _wrong(header)
    return given.decode()


_READERS: dict[bytes, tuple[str, Callable[[bytes], Any]]] = {
    _BUDGET: ("budget", _budget),
    _QUALITY: ("quality", _quality),
    _LATENCY: ("max_latency_s", _latency),
    _SESSION: ("session", _session),
    _PIN: ("pin", _pin),
}


def _kept(given: bytes) -> dict[str, Any]:
    """What Cache-Control says of answers (RFC 9111, 5.2.1); of its other directives none concerns this server."""
    found: dict[str, Any] = {}
    for directive in given.lower().split(b","):
        name, _, value = directive.strip().partition(b"=")
        if name == b"max-age":
            if (seconds := _SECONDS(value.strip())) is None:
                raise _wrong("Cache-Control")
            found["max_age_s"] = min(float(seconds[1]), found.get("max_age_s", math.inf))
        elif name in _DIRECTIVES:
            found[_DIRECTIVES[name]] = True
    return found


_DIRECTIVES = {b"no-cache": "no_cache", b"no-store": "no_store", b"only-if-cached": "cached_only"}


def _wrong(header: str) -> BadInput:
    return BadInput(f"{header} cannot be read; it is {FIELDS[header]}")
