"""Accounts over a next step that the test steers, a ledger in memory, and clocks that stand still."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np

from penstock.admission.accounts import Accounts
from penstock.admission.settings import TenantSettings
from penstock.core.clock import StillClock
from penstock.core.generation import Generation, Message, Sampling, Usage
from penstock.core.ledger import Entry, Feedback
from penstock.core.principal import Principal
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor

T = TypeVar("T")
NOON = 1_767_268_800.0
"""1 January 2026, 12:00 UTC."""


class Downstream:
    """The next step: hands out replies that the test ends."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.error: BaseException | None = None

    async def __call__(self, request: Request) -> Reply:
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        self.replies.append(Reply(Meta("small", "1")))
        return self.replies[-1]


class Book:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)

    def feedback(self, feedback: Feedback) -> None:
        raise AssertionError("nobody gave any")


def per_token(meta: Meta, request: Request) -> float | None:
    """A thousandth of a dollar per token."""
    return None if meta.usage is None else (meta.usage.prompt_tokens + meta.usage.completion_tokens) / 1000


class Desk:
    """Accounts and all around them."""

    def __init__(
        self,
        price: Callable[[Meta, Request], float | None] = per_token,
        expect: Callable[[str, float, float], float] | None = None,
        **tenants: TenantSettings,
    ):
        self.clock, self.wall = StillClock(100.0), StillClock(NOON)
        self.downstream, self.book = Downstream(), Book()
        self.accounts = Accounts(self.downstream, tenants, price, self.book, self.clock, wall=self.wall, expect=expect)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.wall.advance(seconds)

    def ask(self, request: Request | None = None) -> Reply:
        """The reply to a request; without an event loop, as a step that never waits can."""
        return run(self.accounts(request or question()))

    def ask_all(self, *requests: Request) -> list[Reply]:
        """The replies to requests that belong together."""
        return run(self.accounts.all(requests))

    def end(self, reply: Reply, prompt: int = 10, answer: int = 10) -> None:
        """Answers with so many tokens."""
        reply.meta.usage = Usage(prompt, 0, answer)
        reply.settle({})


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drives a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("the step waited for something")


def question(
    text: str = "hello", *, tenant: str = "acme", key: str = "k1", model: str = "chat", **sampling: Any
) -> Request:
    """A question to a language model."""
    payload = Generation(messages=(Message("user", text),), sampling=Sampling(**sampling))
    return Request("r1", model, payload, principal=Principal(tenant, key))


def rows(count: int, *, tenant: str = "acme", model: str = "iris") -> Request:
    """Numbers for a predictive model."""
    tensors = {"x": Tensor("FP32", np.zeros((count, 4), np.float32))}
    return Request("r2", model, tensors, principal=Principal(tenant, "k1"))
