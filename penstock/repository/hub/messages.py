"""What the server process asks of the process that downloads, and what it is told."""

from __future__ import annotations

from typing import Any

import msgspec


class Request(msgspec.Struct):
    """`file`: the one to serve, or None: the one that the repository means; `quantization`: of the GGUF file that is
    meant. `text`, `language`: whether it may be served as a text model or as a language model, with the `options` that
    a person gave for one. `progress`: whether to tell how far the download is. `outline`: a folder to put the files
    in, of the weights only the beginnings, instead of a download into the hub's cache."""

    repo: str
    revision: str | None = None
    file: str | None = None
    text: bool = True
    options: dict[str, Any] = {}
    quantization: str | None = None
    language: bool = True
    progress: bool = False
    outline: str | None = None


class Fetched(msgspec.Struct, tag="fetched"):
    """A snapshot on this machine. `file`: what to serve, by its name in the folder ("": all of it); `text`: as a text
    model. `reason`: why that file, where nobody named it. `files`: all that belong to the model, by name."""

    folder: str
    file: str
    commit: str
    text: bool
    reason: str = ""
    files: list[str] = []


class Progress(msgspec.Struct, tag="progress"):
    """How far a download is, in bytes. `file`: what is fetched now."""

    file: str
    completed: int
    total: int


class Refused(msgspec.Struct, tag="refused"):
    """Why there is none: an error's `code` (`core/errors.py`) and message."""

    code: str
    message: str


Answer = Fetched | Refused
Said = Fetched | Refused | Progress
