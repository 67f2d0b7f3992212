"""Some hundred worlds of failing models; and planted bugs, each of which must be caught."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from penstock.core.reply import Reply
from penstock.routing.attempt import Attempt
from penstock.routing.failure.budget import RetryBudget
from penstock.routing.failure.chain import GiveUp, Try
from penstock.routing.policies.contract import Signals
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.ways import Way
from tests.simulation.routes.world import Counted, Violation, World, simulate

SEEDS = 400


def test_nothing_breaks_and_every_corner_is_reached() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += simulate(seed).seen
    corners = ("answered", "degraded", "ejected", "cancelled", "deadline_exceeded", "unavailable", "provider_failed")
    assert all(seen[corner] > 10 for corner in corners), seen


def test_a_seed_is_the_same_world_twice() -> None:
    assert simulate(7).seen == simulate(7).seen


class Again(Attempt):
    """Asks the next one although words went out."""

    def _ended(self, inner: Reply, outcome: Any) -> None:
        self._began = False
        super()._ended(inner, outcome)


class Forgotten(Attempt):
    """The end of an answer that was cut is not told to whoever counts."""

    def _end(self, outcome: Any) -> None:
        if not self._began:
            super()._end(outcome)
        elif not self.reply.done:
            self.reply.settle(outcome)


class Left(Attempt):
    """Whoever leaves leaves a model at work."""

    def _close(self) -> None:
        self._inner = None
        super()._close()


class Late(Attempt):
    """Goes on asking after the deadline."""

    async def _try(self, step: Try | GiveUp) -> None:
        self._chain._deadline = float("inf")
        await super()._try(step)


class Stubborn(Attempt):
    """Goes on asking for somebody who has left."""

    def _close(self) -> None:
        task, self._task = self._task, None
        super()._close()
        self._task = task

    async def _try(self, step: Try | GiveUp) -> None:
        while isinstance(step, Try):
            await asyncio.sleep(step.at - self._clock())
            try:
                self._follow(await self._ask(step.target))
                return
            except Exception as error:
                step = self._chain.failed(error, self._clock())  # type: ignore[arg-type]
        self._end(step.error)


class Generous(Counted):
    """Gives more retries than it has."""

    def take(self) -> bool:
        self.retrying += 1
        if self.retrying > max(self.settings.least, int(self.settings.share * self.active)):
            raise Violation("more retries than allowed")
        return True


class Leaky(RetryBudget):
    """A retry's place is never free again."""

    def give(self) -> None:
        pass


class Nobody(Route):
    """Leaves everybody out."""

    def way(self, signals: Signals, now: float, rng: Any) -> Way:
        way = super().way(signals, now, rng)
        good = tuple(name for name in way.targets if name == "rule" or not self._pool.of(name).breaker.ejected(now))
        return Way(good or ("refuse",), way.why, way.degraded, way.probes)


class Uncounted(Pool):
    """Does not see that somebody has failed."""

    def failed(self, target: str, error: Any, now: float, waited_s: float = 0.0) -> None:
        self.of(target).breaker.failed(now)


def planted(**parts: Any) -> type[World]:
    return type("Planted", (World,), parts)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (planted(attempt=Again), "was answered by|got the words"),
        (planted(attempt=Forgotten), "at rest"),
        (planted(attempt=Left), "which has ended|at rest"),
        (planted(attempt=Late), "after the deadline"),
        (planted(attempt=Stubborn), "which has ended|at rest|for ever"),
        (planted(budget=Generous), "more retries|a bug|for ever|at rest|a task has failed"),
        (planted(budget=Leaky), "at rest"),
        (planted(route=Nobody), "asked of nobody"),
        (planted(pool=Uncounted), "at rest"),
    ],
)
def test_a_planted_bug_is_caught(kind: type[World], rule: str) -> None:
    with pytest.raises(Violation, match=rule):
        _all(lambda seed: simulate(seed, kind))


def _all(play: Callable[[int], World]) -> None:
    for seed in range(SEEDS):
        play(seed)
