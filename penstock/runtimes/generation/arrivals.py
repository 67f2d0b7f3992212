"""Requests on their way to the engine: their chat templates are rendered, then their prompts wait to be read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from penstock.core.errors import PenstockError
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.contract import Tokenizer
from penstock.runtimes.generation.prompt import Prompts
from penstock.runtimes.generation.rendering.renderer import Renderer
from penstock.runtimes.generation.session import Session

READING_S = 0.2
"""Prompts are read for so long at a time at most, so that answers under way go on."""
SOON_S = 0.002
"""A renderer that wants to be looked at so soon is work to do now, in seconds."""


class Arrival(NamedTuple):
    """A request whose prompt is written: a text, or token ids; or why it is not."""

    session: Session
    written: str | Sequence[int] | PenstockError


class Arrivals:
    """A conversation's prompt is rendered by a child process, and comes when it is done; a plain one comes at once."""

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, prompts: Prompts):
        self._prompts = prompts
        self._number = 0
        self._rendering: dict[int, Session] = {}
        self._waiting: deque[Arrival] = deque()
        self._renderer = _renderer(model, tokenizer.pieces()) if model.chat_template else None

    def add(self, session: Session) -> None:
        """A request that was checked."""
        generation, prompts = session.generation, self._prompts
        if not generation.messages:
            self._waiting.append(Arrival(session, generation.prompt if generation.prompt is not None else ""))
        elif self._renderer is not None:
            self._number += 1
            self._rendering[self._number] = session
            told, tools = prompts.messages(generation), prompts.tools(generation)
            self._renderer.start(self._number, told, tools, prompts.variables(generation))

    def drop(self, session: Session) -> None:
        """A request that was given up."""
        self._rendering = {number: other for number, other in self._rendering.items() if other is not session}
        self._waiting = deque(arrival for arrival in self._waiting if arrival.session is not session)

    def ready(self) -> Iterator[Arrival]:
        """Requests whose prompts are written, while there is time."""
        for id, written in self._renderer.poll() if self._renderer is not None else ():
            session = self._rendering.pop(id, None)
            if session is not None:
                self._waiting.append(Arrival(session, written))
        until = time.monotonic() + READING_S
        while self._waiting and time.monotonic() < until:
            yield self._waiting.popleft()

    @property
    def busy(self) -> bool:
        """Whether there is something to do now: a prompt to read, or a template that takes too long."""
        deadline = self._renderer.deadline() if self._renderer is not None else None
        return bool(self._waiting) or (deadline is not None and deadline <= time.monotonic() + SOON_S)

    def descriptors(self) -> Sequence[int]:
        """Readable when a template was rendered."""
        return (self._renderer.fileno(),) if self._renderer is not None else ()

    def close(self) -> None:
        """Ends the process that renders."""
        if self._renderer is not None:
            self._renderer.close()


def _renderer(model: LanguageModel, pieces: Sequence[bytes]) -> Renderer:
    """Raises `ModelFileError` when the model's template cannot be used."""

    def named(token: int | None) -> str:
        return pieces[token].decode(errors="replace") if token is not None and 0 <= token < len(pieces) else ""

    renderer = Renderer(model.chat_template, bos=named(model.bos), eos=named(next(iter(model.eos), None)))
    try:
        renderer.check()
    except BaseException:
        renderer.close()
        raise
    return renderer
