"""Which limits hold for a request: its tenant's, its key's and its model's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from penstock.admission.keys.key import INTERNAL, INTERNAL_ID
from penstock.admission.limits.allowance import Allowance
from penstock.admission.limits.budget import Period, span_of
from penstock.admission.limits.claim import Usual
from penstock.admission.settings import EVERYBODY, LimitSettings, TenantSettings
from penstock.core.principal import Principal

UNLIMITED = TenantSettings()
NAMES = 256
"""Names of models of which it is kept what one tenant's requests to them usually take."""


class Spent(NamedTuple):
    """What one key of a tenant spent on one name in the day and the month that `at` (Unix time) lies in, in USD."""

    tenant: str
    key: str
    name: str
    day: float
    month: float
    at: float


class Tenant:
    """One tenant: its share, and its limits. `limited`: whether it has any; `usual`: what its requests usually take,
    by the name that is asked for."""

    __slots__ = ("_keys", "_models", "_own", "_spent", "limited", "name", "settings", "usual", "weight")

    def __init__(self, name: str, settings: TenantSettings, wall: float):
        self.name = name
        self.settings = settings
        self.weight = settings.weight
        self.usual: dict[str, Usual] = {}
        self._own: Allowance | None = None
        self._keys: dict[str, Allowance | None] = {}
        self._models: dict[str, Allowance | None] = {}
        self._spent: dict[tuple[str, Period], tuple[float, float]] = {}
        each = settings.each_key
        self.limited = settings.any or (each is not None and each.any) or any(s.any for s in settings.models.values())
        if settings.any:
            self._own = Allowance(self._own_label(), "tenant", settings, wall)

    def allowances(self, key: str, model: str, wall: float) -> tuple[Allowance, ...]:
        """Every set of limits that a request by this key to this model or route has to keep."""
        model = model.partition("@")[0]
        if model not in self._models and model in self.settings.models:
            label = f"{self._own_label()} at {model!r}"
            self._models[model] = self._made(label, f"model/{model}", self.settings.models[model], wall)
        if key and key not in self._keys and self.settings.each_key is not None:
            self._keys[key] = self._made(f"key {key!r}", f"key/{key}", self.settings.each_key, wall)
        return _present(self._own, self._keys.get(key), self._models.get(model))

    def usually(self, model: str) -> Usual:
        """What its requests to a model or route usually take, to learn. Other tenants' do not matter: who asks dear
        questions must not use up what is expected to be left for others."""
        if model not in self.usual:
            if len(self.usual) >= NAMES:
                del self.usual[next(iter(self.usual))]
            self.usual[model] = Usual()
        return self.usual[model]

    def restore(self, spent: Spent) -> None:
        """Counts what was spent before this server started, also for limits that nobody has met yet."""
        for scope in ("tenant", f"key/{spent.key}", f"model/{spent.name.partition('@')[0]}"):
            self._remember(scope, "day", spent.day, spent.at)
            self._remember(scope, "month", spent.month, spent.at)
        for allowance in self.all():
            self._repay(allowance)

    def all(self) -> tuple[Allowance, ...]:
        """Every set of limits that was met so far."""
        return _present(self._own, *self._keys.values(), *self._models.values())

    def _remember(self, scope: str, period: Period, cost: float, at: float) -> None:
        begin = span_of(period, at).begin
        before = self._spent.get((scope, period), (begin, 0.0))[1]
        self._spent[scope, period] = (begin, before + cost)

    def _own_label(self) -> str:
        return f"tenant {self.name!r}" if self.name else "callers without a key"

    def _made(self, label: str, scope: str, settings: LimitSettings, wall: float) -> Allowance | None:
        if not settings.any:
            return None
        allowance = Allowance(label, scope, settings, wall)
        self._repay(allowance)
        return allowance

    def _repay(self, allowance: Allowance) -> None:
        """Moves what was spent before to the budgets of the same day or month, once."""
        for budget in allowance.budgets:
            begin, cost = self._spent.pop((allowance.scope, budget.period), (0.0, 0.0))
            if begin == budget.span.begin:
                budget.spent += cost


def _present(*allowances: Allowance | None) -> tuple[Allowance, ...]:
    return tuple(allowance for allowance in allowances if allowance is not None)


class Tenants:
    """All tenants that were met, by name; those without settings of their own have those of `EVERYBODY`.
    `wall`: tells Unix time."""

    def __init__(self, settings: Mapping[str, TenantSettings], wall: Callable[[], float]):
        self.settings = dict(settings)
        self._wall = wall
        self._others = self.settings.get(EVERYBODY, UNLIMITED)
        self._met: dict[str, Tenant] = {}
        self._inner = Tenant(INTERNAL, UNLIMITED, 0.0)

    def of(self, principal: Principal) -> Tenant:
        """The tenant of a caller. What models of this server ask each other has no limits: it is part of requests
        that were counted already."""
        if principal.key == INTERNAL_ID:
            return self._inner
        found = self._met.get(principal.tenant)
        return found if found is not None else self.named(principal.tenant)

    def named(self, name: str) -> Tenant:
        """The tenant of that name."""
        if name not in self._met:
            self._met[name] = Tenant(name, self.settings.get(name, self._others), self._wall())
        return self._met[name]

    def met(self) -> Iterable[Tenant]:
        """Those that have asked for something."""
        return self._met.values()

    @property
    def with_budgets(self) -> bool:
        """Whether it matters what was spent before."""
        every = list(self.settings.values())
        limits: list[LimitSettings] = [*every, *(limit for tenant in every for limit in tenant.models.values())]
        limits += [tenant.each_key for tenant in every if tenant.each_key is not None]
        return any(limit.budget_per_day is not None or limit.budget_per_month is not None for limit in limits)
