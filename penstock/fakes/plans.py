"""What goes wrong with a fake provider's answer, by plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Plan:
    """How one answer goes. A plan without anything is a good one.

    `status` and `words`: an error in the provider's own format; `body`: this instead of anything of the provider's.
    `wait_s`: before the first byte; `drip_s`: between the bytes of the head; `gap_s`: before each part of the body.
    `after`: so many parts of the body come, `then` the connection is "cut" or "silent", or the body ends too early
    ("end"), or garbage stands among its parts ("garbage").
    """

    status: int = 200
    words: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    wait_s: float = 0.0
    drip_s: float = 0.0
    gap_s: float = 0.0
    after: int | None = None
    then: Literal["cut", "silent", "end", "garbage"] = "cut"


GOOD = Plan()


def throttled(retry_after_s: float | None = 1) -> Plan:
    """429, with Retry-After where it is given."""
    headers = {} if retry_after_s is None else {"retry-after": f"{retry_after_s:g}"}
    return Plan(status=429, words="Rate limit reached for requests", headers=headers)


def failing(status: int = 500) -> Plan:
    """An error of the provider's own."""
    return Plan(status=status, words="The server had an error while processing your request")


def wrong(words: str, status: int = 400) -> Plan:
    """The request is refused, in these words."""
    return Plan(status=status, words=words)


def unauthorized(key: str = "") -> Plan:
    """401; the words repeat the key, as some providers do."""
    return Plan(status=401, words=f"Incorrect API key provided: {key}")


def slow(wait_s: float) -> Plan:
    """Nothing is heard for so long; then a good answer comes."""
    return Plan(wait_s=wait_s)


def silent(after: int = 0) -> Plan:
    """So many parts come, then nothing more; the connection stays open."""
    return Plan(after=after, then="silent")


def mute() -> Plan:
    """Not even a status comes."""
    return Plan(wait_s=86_400)


def cut(after: int = 0) -> Plan:
    """The connection breaks after so many parts of the body."""
    return Plan(after=after, then="cut")


def short(after: int) -> Plan:
    """The body ends as if it were whole, but it is not."""
    return Plan(after=after, then="end")


def garbage(after: int = 0) -> Plan:
    """After so many parts something stands in the body that is none."""
    return Plan(after=after, then="garbage")


def html() -> Plan:
    """A page for people, with 200: what a captive portal or a wrong address says."""
    page = b"<!doctype html><html><body><h1>Welcome</h1></body></html>"
    return Plan(body=page, content_type="text/html; charset=utf-8")
