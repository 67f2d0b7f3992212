"""From signals to a way: who is asked, in which order, and why. Pure, but for what it looks up of the present."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from penstock.core.errors import BadInput, PenstockError, UnknownModel
from penstock.core.model import Models, State, versioned
from penstock.routing.ceilings import awake, wished, within
from penstock.routing.failure.chain import SPECIAL
from penstock.routing.policies.choice import BY_COST, policy_of
from penstock.routing.policies.contract import Candidate, Decision, Signals
from penstock.routing.pool import Pool
from penstock.routing.settings import CeilingSettings, RouteSettings, TargetSettings

Expect = Callable[[str, Signals, float], float]
"""USD that a model's answer to a request of these sizes is expected to cost, infinity where nobody knows; a local model
that is kept busy for so many seconds."""
OTHER = TargetSettings()
"""Of models that are only fallbacks."""


@dataclass(slots=True)
class Way:
    """Who is asked, in order; `why` the first. `degraded`: the step of the ladder that holds, "" for a full answer.
    `probes`: the first was left out, and may still not answer; `second`: it stands in for one that is out."""

    targets: tuple[str, ...]
    why: str
    degraded: str = ""
    probes: bool = False
    second: bool = False


class Ways:
    """Of one route; `name` is for messages."""

    def __init__(self, name: str, settings: RouteSettings, models: Models, pool: Pool, expect: Expect):
        self.targets = named(settings)
        self._name = name
        self._settings = settings
        self._models = models
        self._pool = pool
        self._expect = expect
        self._policy = policy_of(settings)
        self._by_cost = settings.policy in BY_COST or settings.ceilings.cost is not None

    def find(self, signals: Signals, now: float, rng: random.Random) -> Way:
        """Raises `BadInput` for a pin that is none of the route's, and what a ceiling that leaves nobody has to say."""
        if signals.pin:
            return self._pinned(signals, now)
        fallback = self.fallback(self._settings.fallback, signals, now)
        try:
            allowed = within([self.candidate(name, signals, now) for name in self.targets], signals, self._ceilings)
        except PenstockError:
            if not fallback:
                raise
            return Way(fallback, "no model is under the ceilings")
        wanted, missed = wished(allowed, signals)
        way = self._chosen(wanted, signals, now, rng)
        rest = [candidate.name for candidate in allowed if candidate.name not in way.targets]
        way.targets = (*way.targets, *fallback, *rest)
        if missed:
            way.why = f"{way.why}; none {missed}"
        elif len(wanted) < len(allowed):
            way.why = f"{way.why}; {len(wanted)} of {len(allowed)} as wished"
        return way

    def _chosen(self, wanted: Sequence[Candidate], signals: Signals, now: float, rng: random.Random) -> Way:
        """What the policy says of these."""
        if (tried := self._tried(wanted, signals, now, rng)) is not None:
            return Way(_names(tried), f"tries whether {tried.order[0].name} is back", probes=True)
        decision = self._policy.choose(signals, awake(wanted), rng)
        second = self._stands_in(wanted, signals, decision.order[0].name)
        return Way(_names(decision), decision.why, second=second)

    def _stands_in(self, wanted: Sequence[Candidate], signals: Signals, chosen: str) -> bool:
        """Whether the policy would have put somebody else first, were all of them up."""
        if all(each.ready and not each.ejected for each in wanted):
            return False
        back = [msgspec.structs.replace(each, ejected=False, ready=True) for each in wanted]
        return self._policy.choose(signals, back, random.Random(0)).order[0].name != chosen

    def fallback(self, names: Sequence[str], signals: Signals, now: float) -> tuple[str, ...]:
        """Fallbacks or steps in order: those over a ceiling are left out, those that fail just now come last."""
        if not names:
            return ()
        special = [name for name in names if name in SPECIAL]
        found = {name: self.candidate(name, signals, now) for name in names if name not in SPECIAL}
        try:
            kept = {each.name for each in within(list(found.values()), signals, self._ceilings)} if found else set()
        except PenstockError:
            kept = set()
        up = [name for name in names if name in special or (name in kept and _up(found[name]))]
        return (*up, *(name for name in names if name in kept and not _up(found[name])))

    def candidate(self, name: str, signals: Signals, now: float) -> Candidate:
        """A model as it stands now; what it costs only where that is looked at."""
        settings, member = self.targets.get(name, OTHER), self._pool.of(name)
        state, busy, context = self._present(name)
        cost = self._expect(name, signals, member.busy_s) if self._by_cost or signals.budget is not None else 0.0
        ejected = member.breaker.ejected(now) and not (name not in self.targets and member.breaker.may_probe(now))
        return Candidate(
            name,
            settings.weight,
            settings.quality or 0.0,
            cost,
            member.latency_s(now),
            busy,
            context,
            ready=state is State.READY,
            ejected=ejected,
        )

    @property
    def _ceilings(self) -> CeilingSettings:
        return self._settings.ceilings

    def _present(self, name: str) -> tuple[State | None, float, int]:
        try:
            view = self._models.find(*versioned(name))
        except UnknownModel:
            return None, 1.0, 0
        signature = view.signature
        return view.state, view.load, 0 if signature is None else signature.max_tokens or 0

    def _pinned(self, signals: Signals, now: float) -> Way:
        pin = signals.pin
        if pin not in self.targets:
            raise BadInput(f"the route {self._name!r} has no model {pin[:64]!r}; it has: {', '.join(self.targets)}")
        within([self.candidate(pin, signals, now)], signals, self._ceilings)
        return Way((pin,), "pinned by the request")

    def _tried(
        self, candidates: Sequence[Candidate], signals: Signals, now: float, rng: random.Random
    ) -> Decision | None:
        """The decision with a model in it that is left out and may be tried, where it would be the first: a try is for
        requests that the model would get."""
        out = [each.name for each in candidates if each.ejected]
        if not out:
            return None
        probe = next((each.name for each in candidates if self._pool.of(each.name).breaker.may_probe(now)), None)
        if probe not in out:
            return None
        back = [msgspec.structs.replace(each, ejected=False) if each.name == probe else each for each in candidates]
        decision = self._policy.choose(signals, awake(back), rng)
        return decision if decision.order[0].name == probe else None


def _names(decision: Decision) -> tuple[str, ...]:
    return tuple(candidate.name for candidate in decision.order)


def _up(candidate: Candidate) -> bool:
    return candidate.ready and not candidate.ejected


def named(settings: RouteSettings) -> dict[str, TargetSettings]:
    """The models of a route with their settings; without others, qualities rise evenly in the order written down."""
    models = settings.models if isinstance(settings.models, dict) else dict.fromkeys(settings.models, TargetSettings())
    step = 1 / max(1, len(models))
    return {
        name: target if target.quality is not None else _with_quality(target, step * (place + 1))
        for place, (name, target) in enumerate(models.items())
    }


def _with_quality(target: TargetSettings, quality: float) -> TargetSettings:
    return TargetSettings(weight=target.weight, quality=quality)
