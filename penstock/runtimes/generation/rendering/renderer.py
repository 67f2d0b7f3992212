"""Renders conversations with a model's chat template, in a child process under limits of time, memory and length.

A chat template is a program that comes with a model file. Jinja's sandbox keeps it from reaching out, but not from
looping for ever or from filling the memory; so it runs in a process that can be ended at any time. One conversation
is rendered at a time: whoever exceeds a limit is the only one to fail, and the next gets a new process.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from typing import Any

from penstock.core.errors import BadInput, ModelFailed, ModelFileError, PenstockError, TooLarge
from penstock.runtimes.generation.rendering.child import Child
from penstock.runtimes.generation.rendering.frames import Outcome, Render, Setup, pack

_START_S = 30.0
"""What a child has to start and to read the template, in seconds."""
_SOON_S = 0.001
_SETUP = -1

Rendered = tuple[int, str | PenstockError]


class Renderer:
    """Owns one child process. `seconds`: per conversation. `memory`: bytes of its address space. `longest`: characters
    of a prompt."""

    def __init__(
        self,
        template: str,
        *,
        bos: str,
        eos: str,
        seconds: float = 2.0,
        memory: int = 512 * 2**20,
        longest: int = 4 * 2**20,
    ):
        self._setup = Setup(template, bos, eos, seconds, memory, longest)
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._done: list[Rendered] = []
        self._current: int | None = None
        self._until = 0.0
        self._dying: list[Child] = []
        self._broken: str | None = None
        self._unreadable = self._ready = False
        self._selector = selectors.DefaultSelector()
        self._child: Child | None = None
        self._begin()

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is no child."""
        return None if self._child is None else self._child.pid

    def check(self) -> None:
        """Waits until the template was read. Raises `ModelFileError` when it cannot be."""
        while not self._ready and self._broken is None:
            self._selector.select(max(0.0, (self.deadline() or 0.0) - time.monotonic()))
            self._advance()
        if self._broken is not None:
            raise ModelFileError(f"the model's chat template cannot be used: {self._broken}")

    def start(
        self, id: int, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, variables: dict[str, Any]
    ) -> None:
        """Queues a conversation; its prompt, or what went wrong, comes out of `poll` under its id (0 or more).
        `variables` are the template's, besides messages, tools, bos_token, eos_token and add_generation_prompt."""
        try:
            self._waiting.append((id, pack(Render(messages, tools, variables))))
        except (TypeError, OverflowError, RecursionError, UnicodeError) as error:
            text = "the messages or tools hold values that no template can take"
            self._done.append((id, BadInput(text, detail=str(error))))
        if self._child is None and not self._unreadable:
            self._broken = None
            self._begin()
        self._advance()

    def poll(self) -> list[Rendered]:
        """What has been rendered since, or why it was not. Never waits."""
        self._advance()
        done, self._done = self._done, []
        return done

    def fileno(self) -> int:
        """A descriptor that is readable when `poll` has something to do; the same for the renderer's whole life."""
        return self._selector.fileno()

    def deadline(self) -> float | None:
        """When `poll` must be called even if `fileno` is not readable, on the clock `time.monotonic`."""
        if self._done:
            return time.monotonic()
        if self._current is None:
            return None
        sent = self._child is None or self._child.flush()
        return self._until if sent else min(self._until, time.monotonic() + _SOON_S)

    def close(self) -> None:
        """Ends the child process and waits for its end."""
        self._drop()
        self._selector.close()
        for child in self._dying:
            child.wait(5.0)

    def __del__(self) -> None:
        # Whoever forgets to close it leaves no process behind.
        if hasattr(self, "_selector"):
            self.close()

    def _begin(self) -> None:
        """A new child, told what it renders."""
        self._child = Child()
        self._selector.register(self._child, selectors.EVENT_READ)
        self._ready = False
        self._hand(self._child, _SETUP, pack(self._setup), _START_S)

    def _drop(self) -> None:
        """Ends the child, without waiting for its end."""
        if self._child is not None:
            self._selector.unregister(self._child)
            self._child.kill()
            self._dying.append(self._child)
            self._child = None

    def _hand(self, child: Child, id: int, frame: bytes, seconds: float) -> None:
        self._current, self._until = id, time.monotonic() + seconds
        child.send(frame)

    def _advance(self) -> None:
        """Takes what the child has said, ends it when its time is over, and hands it the next conversation."""
        self._dying = [child for child in self._dying if not child.ended()]
        if self._child is not None:
            self._listen(self._child)
        if self._broken is not None:
            self._refuse_all(self._broken)
        elif self._child is not None and self._current is None and self._waiting:
            id, frame = self._waiting.popleft()
            self._hand(self._child, id, frame, self._setup.seconds)

    def _listen(self, child: Child) -> None:
        child.flush()
        outcomes, ended = child.receive()
        for outcome in outcomes:
            self._settle(outcome)
        late = self._current is not None and time.monotonic() >= self._until
        if ended or late:
            self._replace(late)

    def _settle(self, outcome: Outcome) -> None:
        id, self._current = self._current, None
        if id == _SETUP:
            self._ready = outcome.kind == "ok"
            self._unreadable = not self._ready
            self._broken = None if self._ready else outcome.text
        elif id is not None:
            self._done.append((id, outcome.text if outcome.kind == "ok" else _error(outcome, self._setup.longest)))

    def _replace(self, late: bool) -> None:
        """A new child in place of one that ended or is over its time; what it worked on has failed. A child that never
        became ready is replaced only when somebody asks for something."""
        self._drop()
        id, self._current = self._current, None
        if id == _SETUP:
            self._broken = "it takes too long to read" if late else "the process that reads it ended"
            return
        if id is not None:
            reason = f"it takes longer than {self._setup.seconds:g} s" if late else "it takes more than it may have"
            self._done.append((id, _fault(reason)))
        self._begin()

    def _refuse_all(self, reason: str) -> None:
        """Without a template nothing can be rendered."""
        self._done += [(id, _fault(f"it cannot be used: {reason}")) for id, _ in self._waiting]
        self._waiting.clear()


def _error(outcome: Outcome, longest: int) -> PenstockError:
    if outcome.kind == "template":
        return _fault(outcome.text)
    if outcome.kind == "long":
        error: BadInput = TooLarge(f"the prompt would be longer than {longest} characters")
    else:
        error = BadInput(outcome.text or "the model's chat template refuses these messages")
    error.param = "messages"
    return error


def _fault(reason: str) -> PenstockError:
    return ModelFailed(f"the model's chat template failed on these messages: {reason}")
