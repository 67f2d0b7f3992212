"""Who pays for what: limits before a request, and when its reply ends its price, its limits' due, and its entry.

Between the protocols and the gate. Whatever becomes of a request (answered, refused here or further down, failed, cut
short, left by its caller), it is settled and written down exactly once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from penstock.admission.entries import entry_of, usage_of
from penstock.admission.limits.claim import Expect
from penstock.admission.limits.limiter import Limiter, Permit
from penstock.admission.limits.shared import SharedLimits
from penstock.admission.limits.spent import Past
from penstock.admission.settings import TenantSettings
from penstock.core.clock import Clock, system_clock
from penstock.core.errors import Cancelled, Internal, PenstockError
from penstock.core.generation import Generation, Usage
from penstock.core.ledger import Ledger
from penstock.core.quota import Quota
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Handler, Request, together
from penstock.telemetry.logs import logger

log = logger("admission")
Pricing = Callable[[Meta, Request], float | None]
"""What an answer cost, in USD; None where no price is known."""


class Accounts:
    """The step. `settings`: of tenants, by name; `price`: of an ended request; `premium`: what it would have cost
    at the dearest model of its route; `expect`: what one will probably cost. `shared`: limits that several servers
    have in common."""

    def __init__(
        self,
        handler: Handler,
        settings: Mapping[str, TenantSettings],
        price: Pricing,
        ledger: Ledger,
        clock: Clock = system_clock,
        *,
        wall: Callable[[], float] = time.time,
        premium: Pricing | None = None,
        shared: SharedLimits | None = None,
        expect: Expect | None = None,
    ):
        self.limits = Limiter(settings, clock, wall, shared, expect)
        self._handler = handler
        self._price = price
        self._premium = premium
        self._ledger = ledger
        self._clock = clock
        self._wall = wall

    async def start(self, past: Past | None = None) -> None:
        """Learns what budgets had been used before (`past`: the ledger's sums), and meets the other servers."""
        await self.limits.start(past)

    async def stop(self) -> None:
        """Lets go of what `start` began."""
        await self.limits.stop()

    @property
    def refused(self) -> Counter[tuple[str, str]]:
        """How often which limit of which tenant kept a request out."""
        return self.limits.refused

    def quotas(self) -> Iterator[tuple[str, str, Quota]]:
        """What is left of every limit that was met so far: tenant, scope within it, quota."""
        return self.limits.quotas()

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on. Raises `QuotaExceeded` (`BudgetSpent`) over a limit, `TooLarge` for a prompt that no
        wait would let in."""
        tenant = self.limits.tenants.of(request.principal)
        permit, began = Permit(request, tenant), self._clock()
        if tenant.limited:
            try:
                await self.limits.let_in(permit)
            except BaseException as error:
                self._end(permit, began, Meta(), _outcome_of(error))
                raise
        return await self._pass_on(permit, began)

    async def all(self, requests: Sequence[Request]) -> list[Reply]:
        """Passes on requests of one caller to one model that belong together: limits let all of them in or none, and
        each is settled and written down. Raises the same."""
        tenant = self.limits.tenants.of(requests[0].principal)
        permits, began = [Permit(request, tenant) for request in requests], self._clock()
        waiting = iter(permits)
        try:
            if tenant.limited:
                await self.limits.let_all_in(permits)
            return await together(partial(self._pass_on, permit, began) for permit in waiting)
        except BaseException as error:
            for permit in waiting:
                self._end(permit, began, Meta(), _outcome_of(error))
            raise

    async def _pass_on(self, permit: Permit, began: float) -> Reply:
        request = permit.request
        request.weight = permit.tenant.weight
        try:
            reply = await self._handler(request)
        except BaseException as error:
            self._end(permit, began, Meta(), _outcome_of(error))
            raise
        # What is streamed has its headers before its end; what is not gets them then.
        if permit.allowances and isinstance(request.payload, Generation):
            reply.meta.quotas = self.limits.left(permit)
        reply.add_end_callback(partial(self._ended, permit, began))
        return reply

    def _ended(self, permit: Permit, began: float, reply: Reply) -> None:
        outcome = reply.outcome
        assert outcome is not None
        self._end(permit, began, reply.meta, outcome)

    def _end(self, permit: Permit, began: float, meta: Meta, outcome: Outcome) -> None:
        """A request's only end. Nobody is harmed by what goes wrong here: the reply's others are still to be told."""
        request = permit.request
        try:
            usage = meta.usage = usage_of(request, meta, outcome, permit.claim)
            self._pay(request, meta, outcome)
            if permit.allowances:
                self._settle(permit, meta, outcome, usage)
            premium = self._premium(meta, request) if self._premium is not None and meta.route else None
            total_s = self._clock() - began
            entry = entry_of(request, meta, outcome, usage, at=self._wall(), total_s=total_s, premium=premium)
            self._ledger.record(entry)
        except Exception:
            log.exception("not_accounted", request_id=request.id)

    def _pay(self, request: Request, meta: Meta, outcome: Outcome) -> None:
        """What it cost: nothing for a kept answer, and for an error that took nobody's tokens or time."""
        if meta.cost is None and meta.model:
            nothing = isinstance(outcome, PenstockError) and meta.usage in (None, Usage()) and not meta.busy_s
            try:
                meta.cost = 0.0 if nothing or meta.cache == "hit" else self._price(meta, request)
            except Exception:
                log.exception("not_priced", model=meta.model)

    def _settle(self, permit: Permit, meta: Meta, outcome: Outcome, usage: Usage | None) -> None:
        kept = meta.cache == "hit"
        self.limits.settle(permit, None if kept else usage, meta.cost)
        if not kept and not isinstance(outcome, PenstockError):
            self.limits.learn(permit, meta.model, usage, meta.cost)
        meta.quotas = self.limits.left(permit)


def _outcome_of(error: BaseException) -> PenstockError:
    """How a request ended that got no reply."""
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, Exception):
        return Internal("an internal error")
    return Cancelled("the request was cancelled")
