"""OpenAI's doors over a model that plays a script, on a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.core.clock import system_clock
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.door import OpenAI
from tests.protocols.scripted import HELLO, Live, Scripted, Served, Step, View, live


@contextmanager
def openai_doors(
    *views: View, steps: tuple[Step, ...] = HELLO, model: Scripted | None = None
) -> Iterator[tuple[Live, Scripted]]:
    """The doors, and the model behind them."""
    model = model or Scripted(steps)

    def mount(routes: Routes, served: Served) -> None:
        OpenAI(model, served, system_clock).mount(routes)

    with live(mount, *views) as server:
        yield server, model


def data_of(raw: bytes) -> list[Any]:
    """What a stream carries, without its comments: objects, and "[DONE]" as it is."""
    found = []
    for block in raw.decode().split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith(":")]
        text = "".join(line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        if text:
            found.append(text if text == "[DONE]" else json.loads(text))
    return found


def events_of(raw: bytes) -> list[tuple[str, Any]]:
    """The typed events of a stream."""
    found = []
    for block in raw.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found
