"""One route: its parts, and what it knows of itself."""

from __future__ import annotations

import random

from penstock.core.deadline import NEVER, Deadline
from penstock.core.model import Models
from penstock.core.reply import Meta
from penstock.core.request import Request
from penstock.routing.failure.ladder import Ladder
from penstock.routing.judge import Judge
from penstock.routing.patience import Patience
from penstock.routing.policies.choice import FOR_SESSIONS
from penstock.routing.policies.contract import Signals
from penstock.routing.pool import Pool
from penstock.routing.responses.responses import Responses
from penstock.routing.rules import Rule
from penstock.routing.settings import RouteSettings, TargetSettings
from penstock.routing.shadow import Shadow
from penstock.routing.signals import NOWHERE, Session, session_of
from penstock.routing.ways import Expect, Way, Ways

VERY_LONG_S = 86_400.0
PROBE_PATIENCE_S = 2.0
"""How long a request waits for a first word of a model that failed just now."""
SHARE = 0.5
"""Of the time left, for one model's silence while others are left."""
MOST = 0.75
"""The same for a model that was never measured."""
USUAL = 2.0
"""A model may be silent for so many times as long as its whole answers usually take."""


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
        self.ways = Ways(name, settings, models, pool, expect)
        self._pool = pool
        self._has_sessions = settings.policy in FOR_SESSIONS

    @property
    def targets(self) -> dict[str, TargetSettings]:
        """The models that the policy chooses from."""
        return self.ways.targets

    def session(self, request: Request) -> Session:
        """The conversation that a request belongs to, where the policy minds."""
        return session_of(request) if self._has_sessions else NOWHERE

    def way(self, signals: Signals, now: float, rng: random.Random) -> Way:
        """Who is asked. Raises `BadInput` for a pin that is none of the route's, and what a ceiling that leaves nobody
        has to say."""
        step = 0 if self.ladder is None or signals.pin else self.ladder.at(now)
        if not step or self.settings.ladder is None:
            return self.ways.find(signals, now, rng)
        steps = self.settings.ladder.steps[step - 1 :]
        targets = self.ways.fallback(steps, signals, now) or ("refuse",)
        return Way(targets, "overloaded", steps[0])

    def deadline(self, asked: Deadline, now: float) -> Deadline:
        """When the whole chain has to be over."""
        limit = self.settings.timeout_ms
        return asked if limit is None else min(asked, now + limit / 1000)

    def listens(self, way: Way, deadline: Deadline) -> bool:
        """Whether anybody else is asked when a target is silent: it then has to answer piece by piece."""
        settings = self.settings
        timed = settings.patience_ms is not None or settings.hedge_ms is not None or deadline != NEVER
        return (timed or way.probes) and len(way.targets) > 1

    def patience(self, target: str, way: Way, deadline: Deadline, now: float, *, own: bool) -> Patience | None:
        """How long a target may be silent while others are left: as the settings say; less where it is tried after
        failures; at most a part of the time left, unless it usually needs more. `own`: the deadline is the route's, not
        a shorter one of the caller."""
        set_ms, usual = self.settings.patience_ms, self._pool.of(target).usual_s
        found = [] if set_ms is None else [Patience(set_ms / 1000, True)]
        if way.probes and target == way.targets[0]:
            found.append(Patience(max(PROBE_PATIENCE_S, USUAL * usual), True))
        if deadline != NEVER:
            share = max((SHARE if usual else MOST) * (deadline - now), USUAL * usual)
            found.append(Patience(share, own))
        return min(found, default=None)

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
        meta.route, meta.why, meta.degraded, meta.fallback = self.name, way.why, way.degraded, way.second
        return meta

    def refused(self, now: float) -> None:
        """A model of the route has no room: as if a request had waited very long."""
        if self.ladder is not None:
            self.ladder.waited(VERY_LONG_S, now)

    def ended(self, meta: Meta, now: float) -> None:
        """A request has ended: how long it waited counts, where whoever was to answer at this step did."""
        if self.ladder is None or self.settings.ladder is None:
            return
        step, steps = self.ladder.step, self.settings.ladder.steps
        if self.target(meta) is not None if step == 0 else meta.degraded == steps[step - 1]:
            self.ladder.waited(meta.queue_s, now)
