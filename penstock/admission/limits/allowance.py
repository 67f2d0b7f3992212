"""One set of limits in force: what a tenant, one of its keys or one of its models may use, and what it used. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from penstock.admission.limits.budget import DUST, Budget
from penstock.admission.limits.claim import Claim, sum_of
from penstock.admission.limits.rate import Rate
from penstock.admission.settings import LimitSettings
from penstock.core.quota import Quota, QuotaName

WINDOW_S = 60.0
AGAIN_S = 1.0
"""When to come again where only the end of another request makes room."""


class Moment(NamedTuple):
    """Now: on the server's clock, and by the calendar (Unix time)."""

    clock: float
    wall: float


class Short(NamedTuple):
    """Why a request may not come in now: which limit, of whom, and in how many seconds it has room again.

    `never`: the request alone is larger than what the limit ever gives at once. `held`: it would come
    in, were it not for what others that are under way are expected to cost. `left`: USD that a budget still has.
    """

    name: QuotaName
    whose: Allowance
    wait_s: float
    never: bool = False
    held: bool = False
    left: float = 0.0


class Allowance:
    """`label`: whose limits these are, for people. `scope`: the same for machines, unique within the tenant."""

    __slots__ = ("budgets", "concurrency", "cost", "label", "requests", "running", "scope", "settings", "tokens")

    def __init__(self, label: str, scope: str, settings: LimitSettings, wall: float):
        self.label = label
        self.scope = scope
        self.settings = settings
        self.requests = _rate(settings.requests_per_minute, settings.burst_s)
        self.tokens = _rate(settings.tokens_per_minute, settings.burst_s)
        self.cost = _rate(settings.cost_per_minute, settings.burst_s)
        self.budgets = tuple(_budgets(settings, wall))
        self.concurrency = settings.concurrency
        self.running = 0

    @property
    def of_cost(self) -> bool:
        """Whether it must be known what answers cost."""
        return self.cost is not None or bool(self.budgets)

    def amounts(self, claim: Claim) -> Iterator[tuple[QuotaName, Rate, float]]:
        """Its rates, and how much of each a request takes. Of what was only guessed never more than there can be at
        once: a claim that is too high must not shut a request out for ever."""
        if self.requests is not None:
            yield "requests", self.requests, float(claim.requests)
        if self.tokens is not None:
            yield "tokens", self.tokens, min(claim.tokens, max(claim.prompt, self.tokens.at_once))
        if self.cost is not None:
            yield "cost", self.cost, min(claim.cost, self.cost.at_once)

    def check(self, claim: Claim, now: Moment) -> Short | None:
        """What it is short of for a request more (or for several that come in as one); None when it may come in."""
        if self.concurrency is not None and self.running + claim.requests > self.concurrency:
            return Short("concurrency", self, AGAIN_S, never=claim.requests > self.concurrency)
        for budget in self.budgets:
            if not budget.has(claim.cost, now.wall):
                return short_of(budget, self, claim.cost, now.wall)
        worst: Short | None = None
        for name, rate, amount in self.amounts(claim):
            wait = rate.wait(amount, now.clock)
            if wait and (worst is None or wait > worst.wait_s):
                worst = Short(name, self, wait, never=amount > rate.at_once + 1e-6)
        return worst

    def take(self, claim: Claim, now: Moment) -> None:
        """Lets a request in, whether there is room or not."""
        self.running += claim.requests
        for _, rate, amount in self.amounts(claim):
            rate.take(amount, now.clock)
        for budget in self.budgets:
            budget.reserved += claim.cost

    def settle(self, claim: Claim, tokens: float, cost: float, now: Moment) -> None:
        """A request that was let in has ended, and took this."""
        self.running -= claim.requests
        for name, rate, amount in self.amounts(claim):
            if name != "requests":
                rate.correct((tokens if name == "tokens" else cost) - amount, now.clock)
        for budget in self.budgets:
            # Sums of parts that were taken away again come out a little beside 0.
            budget.reserved = max(0.0, budget.reserved - claim.cost) if self.running else 0.0
            budget.spend(cost, now.wall)

    def take_back(self, claim: Claim, now: Moment) -> None:
        """A request that was let in may not come in after all: as if it had never been."""
        self.settle(claim, 0.0, 0.0, now)
        if self.requests is not None:
            self.requests.correct(-float(claim.requests), now.clock)

    def quotas(self, now: Moment) -> Iterator[Quota]:
        """What is left of each limit."""
        rates: tuple[tuple[QuotaName, Rate | None], ...]
        rates = (("requests", self.requests), ("tokens", self.tokens), ("cost", self.cost))
        for name, rate in rates:
            if rate is not None:
                left = rate.remaining(now.clock)
                yield Quota(name, rate.per_minute, left, rate.reset_s(now.clock), WINDOW_S)
        if self.concurrency is not None:
            yield Quota("concurrency", self.concurrency, max(0, self.concurrency - self.running), 0.0, 0.0)
        for budget in self.budgets:
            left = budget.remaining(now.wall)
            span = budget.span
            yield Quota(named(budget), budget.limit, left, span.end - now.wall, span.end - span.begin)


def _rate(per_minute: float | None, burst_s: float) -> Rate | None:
    return None if per_minute is None else Rate(per_minute, burst_s)


def _budgets(settings: LimitSettings, wall: float) -> Iterator[Budget]:
    if settings.budget_per_day is not None:
        yield Budget("day", settings.budget_per_day, wall)
    if settings.budget_per_month is not None:
        yield Budget("month", settings.budget_per_month, wall)


def named(budget: Budget) -> QuotaName:
    """What a budget is called among the quotas."""
    return "budget-day" if budget.period == "day" else "budget-month"


def short_of(budget: Budget, whose: Allowance, cost: float, wall: float) -> Short:
    """Why a budget keeps out a request that is expected to cost so much: until those under way have ended, which may
    turn out cheaper, where that could help; else until the next day or month."""
    left = 0.0 if budget.used_up else max(0.0, budget.limit - budget.spent)
    held = left > 0 and (cost <= left + DUST or budget.spent <= DUST)
    return Short(named(budget), whose, AGAIN_S if held else max(1e-3, budget.span.end - wall), held=held, left=left)


def fitted(claims: Sequence[Claim], allowances: Sequence[Allowance]) -> list[Claim]:
    """Claims of requests that come in together, none of them for more of what was only guessed than its share of what
    there can be at once."""
    tokens = min((a.tokens.at_once for a in allowances if a.tokens is not None), default=math.inf)
    cost = min((a.cost.at_once for a in allowances if a.cost is not None), default=math.inf)
    total = sum_of(claims)
    answers = min(1.0, max(0.0, tokens - total.prompt) / total.answer) if total.answer else 1.0
    money = min(1.0, cost / total.cost) if total.cost else 1.0
    return [claim._replace(answer=claim.answer * answers, cost=claim.cost * money) for claim in claims]


def tightest(allowances: tuple[Allowance, ...], now: Moment) -> tuple[Quota, ...]:
    """Of each kind of limit the one with the least left."""
    found: dict[str, Quota] = {}
    for allowance in allowances:
        for quota in allowance.quotas(now):
            other = found.get(quota.name)
            if other is None or quota.remaining < other.remaining:
                found[quota.name] = quota
    return tuple(found.values())
