"""Waits for a renderer as the loop of a worker does."""

from __future__ import annotations

import select
import time
from typing import Any

from penstock.core.errors import PenstockError
from penstock.runtimes.generation.rendering import Renderer

PATIENCE_S = 60.0


def collect(renderer: Renderer, count: int) -> dict[int, str | PenstockError]:
    """The next `count` outcomes."""
    found: dict[int, str | PenstockError] = {}
    until = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < until, f"only {len(found)} of {count} outcomes came"
        found.update(renderer.poll())
        deadline = renderer.deadline()
        wait = 0.0 if len(found) >= count else 1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        select.select([renderer.fileno()], [], [], wait)
    return found


def render(
    renderer: Renderer, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None, **variables: Any
) -> str | PenstockError:
    """What becomes of one conversation."""
    renderer.start(1, messages, tools, variables)
    return collect(renderer, 1)[1]


def said(role: str, content: str, **more: Any) -> dict[str, Any]:
    """A turn of a conversation."""
    return {"role": role, "content": content, **more}
