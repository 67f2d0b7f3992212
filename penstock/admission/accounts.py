"""Who pays for what: limits before a request, and when its reply ends its price, its limits' due, and its entry.

Between the protocols and the gate. Whatever becomes of a request (answered, refused here or further down, failed, cut
short, left by its caller), it is settled and written down exactly once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from penstock.admission.entries import entry_of, usage_of
from penstock.admission.limits.allowance import Allowance, Moment, Short, tightest
from penstock.admission.limits.claim import NOTHING, Claim, Usual
from penstock.admission.limits.refusals import refusal
from penstock.admission.limits.shared import SharedLimits
from penstock.admission.limits.spent import Past
from penstock.admission.limits.tenants import Spent, Tenant, Tenants
from penstock.admission.settings import TenantSettings
from penstock.core.clock import Clock, system_clock
from penstock.core.errors import Cancelled, Internal, PenstockError
from penstock.core.generation import Generation, Usage
from penstock.core.ledger import Ledger
from penstock.core.quota import Quota
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Handler, Request
from penstock.telemetry.logs import logger

log = logger("admission")
Pricing = Callable[[Meta, Request], float | None]
"""What an answer cost, in USD; None where no price is known."""


class Visit:
    """One request while it is here: the limits that let it in, and what it was expected to take."""

    __slots__ = ("allowances", "began", "claim", "request", "tenant")

    def __init__(self, request: Request, tenant: Tenant, began: float):
        self.request = request
        self.tenant = tenant
        self.began = began
        self.allowances: tuple[Allowance, ...] = ()
        self.claim = NOTHING


class Accounts:
    """The step. `settings`: of tenants, by name; `price`: of an ended request; `premium`: what it would have cost
    at the dearest model of its route. `shared`: limits that several servers have in common.

    `refused`: how often which limit of which tenant kept a request out.
    """

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
    ):
        self.tenants = Tenants(settings, wall)
        self.refused: Counter[tuple[str, str]] = Counter()
        self._handler = handler
        self._price = price
        self._premium = premium
        self._ledger = ledger
        self._clock = clock
        self._wall = wall
        self._shared = shared
        self._usual: dict[str, Usual] = {}
        self._unpriced: set[str] = set()
        self._restoring: asyncio.Task[None] | None = None

    async def start(self, past: Past | None = None) -> None:
        """Learns what budgets had been used before, and meets the other servers. `past`: the ledger's sums."""
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

    def quotas(self) -> Iterator[tuple[str, str, Quota]]:
        """What is left of every limit that was met so far: tenant, scope within it, quota."""
        now = self._now()
        for tenant in self.tenants.met():
            for allowance in tenant.all():
                for quota in allowance.quotas(now):
                    yield tenant.name, allowance.scope, quota

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on. Raises `QuotaExceeded` (`BudgetSpent`) over a limit, `TooLarge` for a prompt that no
        wait would let in."""
        tenant = self.tenants.of(request.principal)
        request.weight = tenant.weight
        visit = Visit(request, tenant, self._clock())
        try:
            if tenant.limited:
                await self._let_in(visit)
            reply = await self._handler(request)
        except BaseException as error:
            self._end(visit, Meta(), _outcome_of(error))
            raise
        # What is streamed has its headers before its end; what is not gets them then.
        if visit.allowances and isinstance(request.payload, Generation):
            reply.meta.quotas = tightest(visit.allowances, self._now())
        reply.add_end_callback(partial(self._ended, visit))
        return reply

    # --- coming in

    async def _let_in(self, visit: Visit) -> None:
        """Takes what the request is expected to use from every limit that it has to keep, or from none."""
        request, now = visit.request, self._now()
        allowances = visit.tenant.allowances(request.principal.key, request.model, now.wall)
        claim = self._claim(request, allowances)
        short = next((found for a in allowances if (found := a.check(claim, now)) is not None), None)
        shared = self._shared if self._shared is not None and self._shared.up else None
        # How many requests are under way is each server's own affair; of all else Redis knows more.
        if short is not None and (shared is None or short.name == "concurrency"):
            raise self._refusal(visit, short, claim, allowances)
        for allowance in allowances:
            allowance.take(claim, now)
        visit.allowances, visit.claim = allowances, claim
        if shared is not None:
            verdict = await shared.take(visit.tenant.name, allowances, claim)
            if (short := verdict.short if verdict.known else short) is not None:
                self._turn_back(visit, short)

    def _turn_back(self, visit: Visit, short: Short) -> None:
        """Other servers have used up what seemed to be left."""
        allowances, visit.allowances = visit.allowances, ()
        for allowance in allowances:
            allowance.take_back(visit.claim, self._now())
        raise self._refusal(visit, short, visit.claim, allowances)

    def _claim(self, request: Request, allowances: tuple[Allowance, ...]) -> Claim:
        if all(allowance.tokens is None and not allowance.of_cost for allowance in allowances):
            return NOTHING
        return (self._usual.get(request.model) or Usual()).claim(request)

    def _refusal(self, visit: Visit, short: Short, claim: Claim, allowances: tuple[Allowance, ...]) -> PenstockError:
        self.refused[visit.tenant.name, short.name] += 1
        return refusal(short, claim, tightest(allowances, self._now()))

    # --- going out

    def _ended(self, visit: Visit, reply: Reply) -> None:
        outcome = reply.outcome
        assert outcome is not None
        self._end(visit, reply.meta, outcome)

    def _end(self, visit: Visit, meta: Meta, outcome: Outcome) -> None:
        """A request's only end. Nobody is harmed by what goes wrong here: the reply's others are still to be told."""
        try:
            usage = usage_of(visit.request, meta, outcome, visit.claim)
            meta.usage = usage
            self._pay(visit, meta)
            if visit.allowances:
                self._settle(visit, meta, outcome, usage)
            self._record(visit, meta, outcome, usage)
        except Exception:
            log.exception("not_accounted", request_id=visit.request.id)

    def _pay(self, visit: Visit, meta: Meta) -> None:
        """What it cost: nothing for a kept answer, and for one that nobody gave."""
        if meta.cost is None and meta.model:
            meta.cost = 0.0 if meta.cache == "hit" else self._price(meta, visit.request)

    def _settle(self, visit: Visit, meta: Meta, outcome: Outcome, usage: Usage | None) -> None:
        """Puts what was used in the place of what was expected."""
        now, cost = self._now(), meta.cost or 0.0
        used = usage is not None and meta.cache != "hit"
        tokens = usage.prompt_tokens + usage.completion_tokens if used and usage is not None else 0
        for allowance in visit.allowances:
            allowance.settle(visit.claim, tokens, cost, now)
            self._tell(allowance)
        if self._shared is not None:
            self._shared.settle(visit.tenant.name, visit.allowances, visit.claim, tokens, cost)
        if not isinstance(outcome, PenstockError) and meta.cache != "hit":
            self._learn(visit, meta, usage)
        meta.quotas = tightest(visit.allowances, now)

    def _learn(self, visit: Visit, meta: Meta, usage: Usage | None) -> None:
        request = visit.request
        prompt, answer = (0, 0) if usage is None else (usage.prompt_tokens, usage.completion_tokens)
        if request.model not in self._usual:
            self._usual[request.model] = Usual()
        self._usual[request.model].learn(request, prompt, answer, meta.cost)
        if meta.cost is None and meta.model not in self._unpriced and any(a.of_cost for a in visit.allowances):
            self._unpriced.add(meta.model)
            log.warning("no_price", model=meta.model, hint="budgets do not count its answers; name a price for it")

    def _tell(self, allowance: Allowance) -> None:
        for budget in allowance.budgets:
            if share := budget.news():
                spent, limit = round(budget.spent, 9), budget.limit
                log.warning("budget", of=allowance.label, period=budget.period, share=share, spent=spent, limit=limit)

    def _record(self, visit: Visit, meta: Meta, outcome: Outcome, usage: Usage | None) -> None:
        request = visit.request
        premium = self._premium(meta, request) if self._premium is not None and meta.route else None
        total_s = self._clock() - visit.began
        entry = entry_of(request, meta, outcome, usage, at=self._wall(), total_s=total_s, premium=premium)
        self._ledger.record(entry)

    # --- inside

    def _now(self) -> Moment:
        return Moment(self._clock(), self._wall())

    async def _restore_later(self, past: Past, at: float) -> None:
        """The ledger is away: what was spent before counts from the moment on that it is back."""
        while not past.known:
            await asyncio.sleep(past.pause_s)
            for spent in await past.read(at) or ():
                self.restore(spent)


def _outcome_of(error: BaseException) -> PenstockError:
    """How a request ended that got no reply."""
    if isinstance(error, PenstockError):
        return error
    if isinstance(error, Exception):
        return Internal("an internal error")
    return Cancelled("the request was cancelled")
