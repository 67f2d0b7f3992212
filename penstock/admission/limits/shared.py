"""Limits that several servers have in common, in Redis or Valkey; while it is away each server keeps to its own."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from penstock.admission.limits.allowance import Allowance, Short, named, short_of
from penstock.admission.limits.budget import Budget
from penstock.admission.limits.claim import Claim
from penstock.admission.limits.rate import Rate
from penstock.admission.limits.scripts import SETTLE, TAKE
from penstock.admission.limits.wire import Wire
from penstock.core.clock import Clock, system_clock
from penstock.core.quota import QuotaName

KEPT_S = 86_400
"""How much longer than its day or month a budget's sum is kept."""


class Verdict(NamedTuple):
    """`known`: whether Redis has answered; `short`: which limit keeps the request out, if one does."""

    known: bool
    short: Short | None = None


AWAY = Verdict(False)
LET_IN = Verdict(True)


class Taken(NamedTuple):
    """One rate that a request takes from."""

    key: str
    whose: Allowance
    name: QuotaName
    rate: Rate
    amount: float


class Purse(NamedTuple):
    """One budget that a request is paid from."""

    key: str
    whose: Allowance
    budget: Budget

    @property
    def kept_s(self) -> int:
        """Seconds after which nobody asks for its sum any more."""
        return int(self.budget.span.end - self.budget.span.begin) + KEPT_S


class SharedLimits:
    """The decisions of `Allowance`, for all servers together. `url`: "redis://host:port/0"."""

    def __init__(self, url: str, clock: Clock = system_clock, wall: Callable[[], float] = time.time):
        self._wire = Wire(url, clock)
        self._clock = clock
        self._wall = wall
        self._owed: defaultdict[str, float] = defaultdict(float)

    async def start(self) -> None:
        """Meets Redis; where it is away that is said, and it is asked again later. Raises `MissingExtra`."""
        await self._wire.start()

    async def stop(self) -> None:
        """Sends what is left to say, then closes the connections."""
        await self._wire.stop()

    @property
    def up(self) -> bool:
        """Whether it makes sense to ask now."""
        return self._wire.up

    async def take(self, tenant: str, allowances: Sequence[Allowance], claim: Claim) -> Verdict:
        """Lets in, by what all servers know, a request that has taken from this server's limits already; and tells
        these how things stand. What Redis has taken for one that was given up meanwhile is given back."""
        rates, purses = _rates(tenant, allowances, claim), _purses(tenant, allowances)
        if not rates and not purses:
            return LET_IN
        words: list[Any] = [len(rates)]
        for taken in rates:
            words += [f"{taken.rate.interval_s:.9f}", f"{taken.rate.burst_s:.6f}", f"{taken.amount:.6f}"]
        for purse in purses:
            known = max(0.0, purse.budget.spent - self._owed.get(purse.key, 0.0))
            others = f"{max(0.0, purse.budget.reserved - claim.cost):.9f}"
            words += [purse.budget.limit, claim.cost, others, known, purse.kept_s]
        told = self._wire.send(TAKE, _keys(rates, purses), words)
        try:
            answer = await asyncio.shield(told)
        except BaseException:
            told.add_done_callback(partial(self._give_back, rates))
            raise
        return AWAY if answer is None else self._verdict(answer, rates, purses, claim)

    def _verdict(self, answer: Sequence[Any], rates: Sequence[Taken], purses: Sequence[Purse], claim: Claim) -> Verdict:
        number, wait_s, found = int(answer[0]), float(answer[1]), [float(word) for word in answer[2:]]
        now = self._clock()
        for taken, ahead in zip(rates, found[: len(rates)], strict=True):
            # Refused, it will be given back by the caller, as if it had been taken.
            taken.rate.ahead = now + ahead + taken.amount * taken.rate.interval_s
        for purse, spent in zip(purses, found[len(rates) :], strict=True):
            purse.budget.spent = max(purse.budget.spent, spent + self._owed.get(purse.key, 0.0))
        if number == 0:
            return LET_IN
        if number > len(rates):
            purse = purses[number - len(rates) - 1]
            return Verdict(True, short_of(purse.budget, purse.whose, claim.cost, self._wall()))
        taken = rates[number - 1]
        never = taken.amount > taken.rate.at_once + 1e-6
        return Verdict(True, Short(taken.name, taken.whose, wait_s, never))

    def _give_back(self, rates: Sequence[Taken], told: asyncio.Future[Any]) -> None:
        """Nobody waited for the verdict: the request was given up before it came in."""
        answer = told.result()
        if answer is not None and int(answer[0]) == 0:
            self._correct({taken: -taken.amount for taken in rates if taken.name != "requests"}, {})

    def settle(
        self, tenant: str, allowances: Sequence[Allowance], claim: Claim, tokens: float, cost: float, *, taken: bool
    ) -> None:
        """Tells all servers what a request took in the end; this one's limits know already. `taken`: whether Redis has
        let it in, and so holds what was expected of it. Never waits. What Redis could not be told of money is told
        later."""
        used = {"tokens": tokens, "cost": cost}
        rates = [rate for rate in _rates(tenant, allowances, claim) if rate.name in used]
        more = {rate: used[rate.name] - (rate.amount if taken else 0.0) for rate in rates}
        due = {purse: cost + self._owed.pop(purse.key, 0.0) for purse in _purses(tenant, allowances)}
        self._correct(more, due)

    def _correct(self, more: Mapping[Taken, float], due: Mapping[Purse, float]) -> None:
        """Takes so many units more (fewer, where negative) of each rate, and pays from budgets what is due."""
        if not any(more.values()) and not any(due.values()):
            return
        words: list[Any] = [len(more)]
        words += [f"{units * taken.rate.interval_s:.6f}" for taken, units in more.items()]
        for purse, money in due.items():
            words += [f"{money:.12f}", f"{max(0.0, purse.budget.spent - money):.12f}", purse.kept_s]
        told = self._wire.send(SETTLE, _keys(list(more), list(due)), words)
        told.add_done_callback(lambda told: None if told.result() is not None else self._owe(due))

    def _owe(self, due: Mapping[Purse, float]) -> None:
        """Redis could not be told."""
        for purse, money in due.items():
            if money:
                self._owed[purse.key] += money


def _rates(tenant: str, allowances: Iterable[Allowance], claim: Claim) -> list[Taken]:
    return [
        Taken(_key(tenant, allowance, name), allowance, name, rate, amount)
        for allowance in allowances
        for name, rate, amount in allowance.amounts(claim)
    ]


def _purses(tenant: str, allowances: Iterable[Allowance]) -> list[Purse]:
    return [
        Purse(_key(tenant, allowance, f"{named(budget)}/{_date(budget)}"), allowance, budget)
        for allowance in allowances
        for budget in allowance.budgets
    ]


def _keys(rates: Sequence[Taken], purses: Sequence[Purse]) -> list[str]:
    return [taken.key for taken in rates] + [purse.key for purse in purses]


def _key(tenant: str, allowance: Allowance, what: str) -> str:
    """A tenant's keys hash to one slot of a cluster: the braces say so."""
    return f"penstock:{{{tenant}}}:{allowance.scope}:{what}"


def _date(budget: Budget) -> str:
    return datetime.fromtimestamp(budget.span.begin, UTC).strftime("%Y-%m-%d")
