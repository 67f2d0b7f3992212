"""What the server process asks of the process that downloads, and what it is told."""

from __future__ import annotations

from typing import Any

import msgspec


class Request(msgspec.Struct):
    """`file`: the one to serve, or None: the one that the repository means. `text`: whether it may be served as a text
    model, with the `options` that a person gave for one."""

    repo: str
    revision: str | None = None
    file: str | None = None
    text: bool = True
    options: dict[str, Any] = {}


class Fetched(msgspec.Struct, tag="fetched"):
    """A snapshot on this machine. `file`: what to serve, by its name in the folder; `text`: as a text model."""

    folder: str
    file: str
    commit: str
    text: bool


class Refused(msgspec.Struct, tag="refused"):
    """Why there is none: an error's `code` (`core/errors.py`) and message."""

    code: str
    message: str


Answer = Fetched | Refused
