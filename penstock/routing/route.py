"""One route: which of its models could answer a request now, in which order, and why."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from penstock.core.deadline import Deadline
from penstock.core.errors import BadInput, Overloaded, PenstockError, Unavailable, UnknownModel
from penstock.core.model import Models, State
from penstock.core.reply import Meta
from penstock.core.request import Request
from penstock.routing.failure.ladder import Ladder
from penstock.routing.judge import Judge
from penstock.routing.policies.choice import policy_of
from penstock.routing.policies.contract import Candidate, Signals
from penstock.routing.pool import Pool
from penstock.routing.responses.responses import Responses
from penstock.routing.rules import Rule
from penstock.routing.settings import CeilingSettings, RouteSettings, TargetSettings
from penstock.routing.shadow import Shadow

Expect = Callable[[str, Signals, float], float]
"""USD that a model's answer to a request of these sizes is expected to cost; a local model that is kept busy for so
many seconds."""
VERY_LONG_S = 86_400.0
PROBE_PATIENCE_MS = 2000.0
"""How long a request waits for a first word of a model that failed just now."""


@dataclass(frozen=True, slots=True)
class Way:
    """Who is asked, in order; `why` the first. `degraded`: the step of the ladder that holds, "" for a full answer.
    `probes`: the first was left out, and may still not answer."""

    targets: tuple[str, ...]
    why: str
    degraded: str = ""
    probes: bool = False


class Route:
    """Puts a policy, ceilings and the models' present together. `judge`: says how hard questions are; `responses`: what
    is kept of answers; `shadow`: compares with another model."""

    def __init__(
        self,
        name: str,
        settings: RouteSettings,
        models: Models,
        pool: Pool,
        expect: Expect,
        *,
        rule: Rule | None = None,
        judge: Judge | None = None,
        responses: Responses | None = None,
        shadow: Shadow | None = None,
    ):
        self.name = name
        self.settings = settings
        self.rule = rule
        self.judge = judge
        self.responses = responses
        self.shadow = shadow
        self.ladder = None if settings.ladder is None else Ladder(settings.ladder)
        self._models = models
        self._pool = pool
        self._expect = expect
        self._policy = policy_of(settings)
        self.targets = named(settings)

    def way(self, signals: Signals, now: float, rng: random.Random) -> Way:
        """Who is asked. Raises `BadInput` for a pin that is none of the route's, `Overloaded` and `Unavailable` when
        ceilings leave nobody."""
        if signals.pin:
            return Way((self._pinned(signals.pin),), "pinned by the request")
        if (step := self._step(now)) > 0:
            return self._degraded(step)
        candidates = [self.candidate(name, signals, now) for name in self.targets]
        probe = self._probed(now)
        allowed = within(candidates, signals, self.settings.ceilings)
        decision = self._policy.choose(signals, awake(allowed), rng)
        order = [candidate.name for candidate in decision.order]
        left_out = [candidate.name for candidate in allowed if candidate.name not in order]
        if probe is not None and probe in left_out:
            return Way((probe, *order, *self.settings.fallback), f"tries whether {probe} is back", probes=True)
        return Way((*order, *self.settings.fallback, *left_out), decision.why)

    def _step(self, now: float) -> int:
        return 0 if self.ladder is None else self.ladder.at(now)

    def _degraded(self, step: int) -> Way:
        """What the ladder says instead of the policy: the step that holds, then those below it."""
        assert self.settings.ladder is not None
        steps = self.settings.ladder.steps[step - 1 :]
        return Way(steps, "overloaded", steps[0])

    def candidate(self, name: str, signals: Signals, now: float) -> Candidate:
        """A model of the route as it stands now."""
        settings, member = self.targets[name], self._pool.of(name)
        state, busy, context = self._present(name)
        return Candidate(
            name,
            weight=settings.weight,
            quality=settings.quality or 0.0,
            cost=self._expect(name, signals, member.busy_s),
            latency_s=member.latency_s(now),
            busy=busy,
            context=context,
            ready=state is State.READY,
            ejected=member.breaker.ejected(now),
        )

    def deadline(self, asked: Deadline, now: float) -> Deadline:
        """When the whole chain has to be over."""
        limit = self.settings.timeout_ms
        return asked if limit is None else min(asked, now + limit / 1000)

    def patience_s(self, way: Way) -> float | None:
        """How long a target may take to its first word while others are left."""
        patience = self.settings.patience_ms
        if way.probes:
            patience = min(PROBE_PATIENCE_MS, patience or PROBE_PATIENCE_MS)
        return None if patience is None else patience / 1000

    def quality(self, meta: Meta) -> float:
        """Of the model that answered."""
        target = self.target(meta)
        return 0.0 if target is None else target.quality or 0.0

    def target(self, meta: Meta) -> TargetSettings | None:
        """The settings of the model that answered, where it is one of the policy's."""
        return self.targets.get(meta.model) or self.targets.get(f"{meta.model}@{meta.version}")

    def meta(self, way: Way, request: Request) -> Meta:
        """What a reply of this route says of itself from the beginning."""
        meta = Meta()
        if self.settings.log_features and self.judge is not None:
            meta.features = self.judge.logged(request)
        meta.route, meta.why, meta.degraded = self.name, way.why, way.degraded
        return meta

    def refused(self, now: float) -> None:
        """A model of the route has no room: as if a request had waited very long."""
        if self.ladder is not None:
            self.ladder.waited(VERY_LONG_S, now)

    def ended(self, meta: Meta, now: float) -> None:
        """A request has ended: how long it waited counts, where whoever was to answer at this step did."""
        if self.ladder is None:
            return
        step = self.ladder.step
        steps = self.settings.ladder.steps if self.settings.ladder is not None else ()
        if self.target(meta) is not None if step == 0 else meta.degraded == steps[step - 1]:
            self.ladder.waited(meta.queue_s, now)

    def _present(self, name: str) -> tuple[State | None, float, int]:
        model, _, version = name.partition("@")
        try:
            view = self._models.find(model, version or None)
        except UnknownModel:
            return None, 1.0, 0
        signature = view.signature
        return view.state, view.load, 0 if signature is None else signature.max_tokens or 0

    def _pinned(self, pin: str) -> str:
        if pin not in self.targets:
            raise BadInput(f"the route {self.name!r} has no model {pin[:64]!r}; it has: {', '.join(self.targets)}")
        return pin

    def _probed(self, now: float) -> str | None:
        """A model that is left out, and that this request is to try."""
        return next((name for name in self.targets if self._pool.of(name).breaker.may_probe(now)), None)


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


def awake(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that are ready and were not left out; of nobody such, all: everything left out never happens."""
    good = [candidate for candidate in candidates if candidate.ready and not candidate.ejected]
    return good or [candidate for candidate in candidates if candidate.ready] or candidates


def within(candidates: Sequence[Candidate], signals: Signals, ceilings: CeilingSettings) -> list[Candidate]:
    """Those under all ceilings. Raises what the ceiling that leaves nobody has to say."""
    size = signals.prompt_tokens + signals.answer_tokens
    # Where nobody has room for it, the model's own refusal names both numbers.
    left = [candidate for candidate in candidates if not candidate.context or size <= candidate.context] or candidates
    for fits, error in _ceilings(ceilings):
        left = [candidate for candidate in left if fits(candidate)]
        if not left:
            raise error
    return list(left)


def _ceilings(ceilings: CeilingSettings) -> Iterator[tuple[Callable[[Candidate], bool], PenstockError]]:
    if (cost := ceilings.cost) is not None:
        says = f"no model of this route is expected to answer for at most {cost:g} USD; ask for a shorter answer"
        yield lambda candidate: candidate.cost <= cost, BadInput(says)
    if (load := ceilings.load) is not None:
        busy = Overloaded("all models of this route are busy; try again shortly")
        yield lambda candidate: candidate.busy <= load, busy
    if (latency_ms := ceilings.latency_ms) is not None:
        slow = Unavailable(f"no model of this route answers within {latency_ms:g} ms at present; try again later")
        yield lambda candidate: (candidate.latency_s or 0.0) * 1000 <= latency_ms, slow
