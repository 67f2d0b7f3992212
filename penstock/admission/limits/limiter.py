"""Lets requests in by what their tenants may use, and settles what they used: on this server, and on all together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from penstock.admission.limits.allowance import Allowance, Moment, Short, fitted, tightest
from penstock.admission.limits.claim import NOTHING, Claim, Expect, Usual, sum_of
from penstock.admission.limits.refusals import refusal
from penstock.admission.limits.shared import SharedLimits
from penstock.admission.limits.spent import Past
from penstock.admission.limits.tenants import Spent, Tenant, Tenants
from penstock.admission.settings import TenantSettings
from penstock.core.clock import Clock
from penstock.core.errors import PenstockError
from penstock.core.generation import Usage
from penstock.core.quota import Quota
from penstock.core.request import Request
from penstock.telemetry.logs import logger

log = logger("admission")
UNKNOWN = Usual()
"""What is expected before anything was learned."""


class Permit:
    """What a request was let in with: the limits that it took from, and what it is expected to take. `shared`: whether
    the other servers were told of it."""

    __slots__ = ("allowances", "claim", "request", "shared", "tenant")

    def __init__(self, request: Request, tenant: Tenant):
        self.request = request
        self.tenant = tenant
        self.allowances: tuple[Allowance, ...] = ()
        self.claim = NOTHING
        self.shared = False


class Limiter:
    """`refused`: how often which limit of which tenant kept a request out."""

    def __init__(
        self,
        settings: Mapping[str, TenantSettings],
        clock: Clock,
        wall: Callable[[], float],
        shared: SharedLimits | None = None,
        expect: Expect | None = None,
    ):
        self.tenants = Tenants(settings, wall)
        self.refused: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._wall = wall
        self._shared = shared
        self._expect = expect
        self._unpriced: set[str] = set()
        self._restoring: asyncio.Task[None] | None = None

    # --- life

    async def start(self, past: Past | None = None) -> None:
        """Learns what budgets had been used before (`past`: the ledger's sums), and meets the other servers."""
        if self._shared is not None:
            await self._shared.start()
        if past is not None and self.tenants.with_budgets:
            now = self._wall()
            for spent in await past.read(now) or ():
                self.restore(spent)
            if not past.known:
                self._restoring = asyncio.get_running_loop().create_task(self._restore_later(past, now))

    async def stop(self) -> None:
        """Lets go of what `start` began."""
        if self._restoring is not None:
            self._restoring.cancel()
        if self._shared is not None:
            await self._shared.stop()

    def restore(self, spent: Spent) -> None:
        """Counts what was spent before this server started."""
        self.tenants.named(spent.tenant).restore(spent)

    async def _restore_later(self, past: Past, at: float) -> None:
        """The ledger is away: what was spent before counts from the moment on that it is back."""
        while not past.known:
            await asyncio.sleep(past.pause_s)
            for spent in await past.read(at) or ():
                self.restore(spent)

    # --- coming in

    async def let_in(self, permit: Permit) -> None:
        """Takes what the request is expected to use from every limit that it has to keep, or from none. Never waits
        where limits are this server's own. Raises `QuotaExceeded` and `TooLarge`."""
        allowances = self._allowances(permit)
        permit.claim = self._claim(permit, allowances)
        await self._take(permit, allowances)

    async def let_all_in(self, permits: Sequence[Permit]) -> None:
        """The same for requests of one caller to one model that belong together: all come in, or none."""
        allowances = self._allowances(permits[0])
        claims = fitted([self._claim(permit, allowances) for permit in permits], allowances)
        together = Permit(permits[0].request, permits[0].tenant)
        together.claim = sum_of(claims)
        try:
            await self._take(together, allowances)
        finally:
            for permit, claim in zip(permits, claims, strict=True):
                permit.allowances, permit.claim, permit.shared = together.allowances, claim, together.shared

    def _allowances(self, permit: Permit) -> tuple[Allowance, ...]:
        request = permit.request
        return permit.tenant.allowances(request.principal.key, request.model, self._wall())

    async def _take(self, permit: Permit, allowances: tuple[Allowance, ...]) -> None:
        tenant, claim, now = permit.tenant, permit.claim, self._now()
        short = next((found for a in allowances if (found := a.check(claim, now)) is not None), None)
        shared = self._shared if self._shared is not None and self._shared.up else None
        # How many requests are under way is each server's own affair; of all else Redis knows more.
        if short is not None and (shared is None or short.name == "concurrency"):
            raise self._refusal(tenant, short, claim, allowances)
        for allowance in allowances:
            allowance.take(claim, now)
        permit.allowances = allowances
        if shared is not None:
            verdict = await shared.take(tenant.name, allowances, claim)
            if (short := verdict.short if verdict.known else short) is not None:
                self._turn_back(permit, short)
            permit.shared = verdict.known

    def _turn_back(self, permit: Permit, short: Short) -> None:
        """Other servers have used up what seemed to be left."""
        allowances, permit.allowances = permit.allowances, ()
        for allowance in allowances:
            allowance.take_back(permit.claim, self._now())
        raise self._refusal(permit.tenant, short, permit.claim, allowances)

    def _claim(self, permit: Permit, allowances: tuple[Allowance, ...]) -> Claim:
        of_cost = any(allowance.of_cost for allowance in allowances)
        if not of_cost and all(allowance.tokens is None for allowance in allowances):
            return NOTHING
        request = permit.request
        usual = permit.tenant.usual.get(request.model) or UNKNOWN
        return usual.claim(request, self._expect if of_cost else None)

    def _refusal(self, tenant: Tenant, short: Short, claim: Claim, allowances: tuple[Allowance, ...]) -> PenstockError:
        self.refused[tenant.name, short.name] += 1
        return refusal(short, claim, tightest(allowances, self._now()))

    # --- going out

    def settle(self, permit: Permit, usage: Usage | None, cost: float | None) -> None:
        """Puts what was used in the place of what was expected. `usage`, `cost`: None where unknown or nothing."""
        now, tokens = self._now(), 0 if usage is None else usage.prompt_tokens + usage.completion_tokens
        name, allowances, claim = permit.tenant.name, permit.allowances, permit.claim
        for allowance in allowances:
            allowance.settle(claim, tokens, cost or 0.0, now)
            _tell(allowance)
        if self._shared is not None:
            self._shared.settle(name, allowances, claim, tokens, cost or 0.0, taken=permit.shared)

    def learn(self, permit: Permit, model: str, usage: Usage | None, cost: float | None) -> None:
        """An answer came, and took this: the tenant's next to the same name are expected to take as much."""
        request = permit.request
        prompt, answer = (0, 0) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        permit.tenant.usually(request.model).learn(request, prompt, answer, cost, permit.claim.listed)
        if cost is None and model not in self._unpriced and any(a.of_cost for a in permit.allowances):
            self._unpriced.add(model)
            log.warning("no_price", model=model, hint="budgets do not count its answers; name a price for it")

    # --- looking

    def left(self, permit: Permit) -> tuple[Quota, ...]:
        """What is left of the limits that a request was let in with."""
        return tightest(permit.allowances, self._now())

    def quotas(self) -> Iterator[tuple[str, str, Quota]]:
        """What is left of every limit that was met so far: tenant, scope within it, quota."""
        now = self._now()
        for tenant in self.tenants.met():
            for allowance in tenant.all():
                for quota in allowance.quotas(now):
                    yield tenant.name, allowance.scope, quota

    def _now(self) -> Moment:
        return Moment(self._clock(), self._wall())


def _tell(allowance: Allowance) -> None:
    """Says that a budget is nearly used, and that it is."""
    for budget in allowance.budgets:
        if share := budget.news():
            spent, limit = round(budget.spent, 9), budget.limit
            log.warning("budget", of=allowance.label, period=budget.period, share=share, spent=spent, limit=limit)
