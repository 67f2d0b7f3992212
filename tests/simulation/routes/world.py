"""Random routes over models that fail, hang, come back and are overloaded; and what must never break.

Everything is the product's own but the models and the clock. One seed is one world of a few minutes: its route, its
models' fates, its callers. After it everything must have come to rest.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from penstock.core.deadline import NEVER
from penstock.core.errors import (
    BadInput,
    Cancelled,
    ContextExceeded,
    DeadlineExceeded,
    Internal,
    Loading,
    Overloaded,
    PenstockError,
    ProviderFailed,
    ProviderRefused,
    ProviderThrottled,
    WorkerLost,
)
from penstock.core.generation import Generated, Generation, Message, Started, Stopped, Text, Usage
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.reply import Meta, Reply
from penstock.core.request import Hints, Request
from penstock.core.signature import Signature
from penstock.routing.attempt import Attempt
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.failure.ladder import LadderSettings
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.rules import Rule
from penstock.routing.settings import CeilingSettings, RouteSettings, RuleSettings
from tests.simulation.routes.loop import VirtualLoop

TEXT = Generation(messages=(Message("user", "How many?"),))
SPAN_S = 120.0
FATES = ("well", "well", "well", "down", "refuses", "throttled", "hangs", "cuts", "busy", "slow", "flaky", "loading")


class Violation(AssertionError):
    """Something happened that must never happen."""


@dataclass
class Fate:
    """What a model does from a moment on."""

    begins: float
    kind: str


@dataclass
class Fake:
    """A model: `fates` in order of time."""

    name: str
    world: World
    fates: list[Fate]
    places: int
    speed_s: float
    working: list[str] = field(default_factory=list)
    asked: int = 0
    signature: Signature = field(default_factory=lambda: Signature((), (), batched=False, task="generation"))
    reason: str = ""
    stats: ModelStats = field(default_factory=ModelStats)

    @property
    def fate(self) -> str:
        now = self.world.now
        return next(fate.kind for fate in reversed(self.fates) if fate.begins <= now)

    @property
    def state(self) -> State:
        return State.LOADING if self.fate == "loading" else State.READY

    @property
    def live(self) -> int:
        return len(self.working)

    @property
    def load(self) -> float:
        return self.live / self.places

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec(name=self.name, runtime="remote", path="")

    def config(self) -> dict[str, Any]:
        return {}

    def ask(self, request: Request) -> Reply:
        self.asked += 1
        world = self.world
        if (error := self._refusal()) is not None:
            raise error
        reply = Reply(Meta(self.name, "1"))
        self.working.append(request.id)
        task = world.loop.create_task(self._answer(request, reply, self.asked))
        reply.add_end_callback(lambda _: self._left(request.id, task))
        return reply

    def _left(self, id: str, task: asyncio.Task[None]) -> None:
        self.working.remove(id)
        task.cancel()

    def _refusal(self) -> PenstockError | None:
        if self.live >= self.places:
            return Overloaded("full")
        match self.fate:
            case "down":
                return ProviderFailed("down")
            case "refuses":
                return ProviderRefused("key")
            case "busy":
                return Overloaded("busy")
            case "loading":
                return Loading("loading")
        return None

    async def _answer(self, request: Request, reply: Reply, number: int) -> None:
        rng, fate = self.world.rng, self.fate
        if rng.random() < 0.8:
            reply.alive()
        if request.deadline != NEVER:
            self.world.loop.call_later(
                max(0.0, request.deadline - self.world.now),
                lambda: reply.abandon(DeadlineExceeded("too late")),
            )
        slower = 20.0 if fate == "slow" else 1.0
        reply.meta.queue_s = rng.choice((0.0, 0.0, 1.0)) if self.live > self.places / 2 else 0.0
        await asyncio.sleep(reply.meta.queue_s + rng.random() * self.speed_s * slower)
        if fate == "hangs":
            await asyncio.sleep(40.0)
            reply.settle(ProviderFailed("nothing came"))
        elif fate == "throttled":
            reply.settle(ProviderThrottled("slow down", retry_after_s=rng.choice((0.5, 5.0, None))))
        elif fate == "flaky" and rng.random() < 0.5:
            reply.settle(rng.choice((WorkerLost("died"), ContextExceeded("too long"), ProviderFailed("500"))))
        else:
            await self._speak(reply, fate == "cuts", number, slower)

    async def _speak(self, reply: Reply, cut: bool, number: int, slower: float) -> None:
        """Words that say who speaks, the how manieth time, and which word it is."""
        rng = self.world.rng
        reply.emit(Started(5))
        words = rng.randint(1, 6)
        for word in range(words):
            if cut and word == words // 2:
                reply.settle(ProviderFailed("cut"))
                return
            reply.emit(Text(0, f"{self.name}.{number}.{word} ", (), 1))
            await asyncio.sleep(rng.random() * self.speed_s * slower)
        reply.emit(Stopped(0, "stop"))
        reply.settle(Generated(Usage(5, 0, words)))


class Counted(RetryBudget):
    """Checks its own bound."""

    def take(self) -> bool:
        bound = max(self.settings.least, int(self.settings.share * self.active))
        given = super().take()
        if given and self.retrying > bound:
            raise Violation(f"{self.retrying} retries are on their way; {bound} are allowed")
        return given


class World:
    """One seed."""

    attempt: type[Attempt] = Attempt
    route: type[Route] = Route
    pool: type[Pool] = Pool
    budget: type[RetryBudget] = Counted

    def __init__(self, seed: int, loop: VirtualLoop):
        self.rng = random.Random(seed)
        self.loop = loop
        self.begins = loop.now
        self.seen: Counter[str] = Counter()
        self.draining = False
        self._asked: dict[str, list[str]] = {}
        self._violations: list[str] = []
        names = "abcd"[: self.rng.randint(1, 4)]
        self.models = {name: self._model(name) for name in names}
        self.settings = self._settings(list(names))
        self.router = self._router()
        self._open: set[str] = set()

    @property
    def now(self) -> float:
        return self.loop.now

    def _model(self, name: str) -> Fake:
        rng = self.rng
        moments = sorted(rng.random() * SPAN_S for _ in range(rng.randint(0, 5)))
        fates = [Fate(0.0, "well"), *(Fate(self.begins + at, rng.choice(FATES)) for at in moments)]
        return Fake(name, self, fates, rng.choice((2, 5, 50)), rng.choice((0.01, 0.1, 1.0)))

    def _settings(self, names: list[str]) -> RouteSettings:
        rng = self.rng
        ladder = None
        if rng.random() < 0.4:
            ladder = LadderSettings(steps=(*rng.sample(names, 1), "rule", *(("refuse",) * (rng.random() < 0.5))))
        return RouteSettings(
            models=tuple(names),
            policy=rng.choice(("first", "weighted", "least_busy", "latency", "cost")),
            fallback=(*rng.sample(names, rng.randint(0, len(names))), *(("rule",) * (rng.random() < 0.3))),
            ceilings=CeilingSettings(load=rng.choice((None, None, 1.5)), latency_ms=rng.choice((None, None, 5000.0))),
            timeout_ms=rng.choice((None, 2000.0, 10_000.0)),
            patience_ms=rng.choice((None, 500.0, 3000.0)),
            hedge_ms=rng.choice((None, None, 200.0)),
            ladder=ladder,
        )

    def _router(self) -> Router:
        pool = self.pool(BreakerSettings())
        rule = Rule(RuleSettings(text="rule.0.0 "))
        route = self.route("route", self.settings, self, pool, lambda name, signals, busy_s: 1.0, rule=rule)
        budget = self.budget(RetrySettings())
        return Router(self, {"route": route}, pool, budget, clock=self.loop.time, rng=self.rng, attempt=self.attempt)

    # --- the models, as the router sees them

    async def __call__(self, request: Request) -> Reply:
        model = self.models[request.model]
        self.asked(request, model)
        if self.rng.random() < 0.2:
            await asyncio.sleep(self.rng.random())
            if self.now > request.deadline:
                raise DeadlineExceeded("too late")
        return model.ask(request)

    def find(self, name: str, version: str | None = None) -> Fake:
        return self.models[name]

    def all(self) -> list[Fake]:
        return list(self.models.values())

    def asked(self, request: Request, model: Fake) -> None:
        if request.deadline != NEVER and self.now > request.deadline:
            self.violated(f"{model.name} is asked {self.now - request.deadline:.3f} s after the deadline")
        self._asked.setdefault(request.id, []).append(model.name)
        if request.id not in self._open:
            self.violated(f"{model.name} is asked for request {request.id}, which has ended")

    def violated(self, what: str) -> None:
        """Remembers what broke inside the product, where an exception would be taken for a bug of a model."""
        self._violations.append(what)

    # --- callers

    async def play(self) -> None:
        """A few minutes; then rest."""
        callers = []
        for number in range(self.rng.randint(5, 80)):
            await asyncio.sleep(self.rng.random() * self.rng.choice((0.02, 1.0, 4.0)))
            callers.append(asyncio.ensure_future(self._call(str(number))))
        await asyncio.gather(*callers)
        await asyncio.sleep(60.0)
        self._at_rest()

    async def _call(self, id: str) -> None:
        rng = self.rng
        deadline = self.now + rng.choice((0.05, 1.0, 30.0)) if rng.random() < 0.3 else NEVER
        hints = Hints(pin=rng.choice(list(self.models))) if rng.random() < 0.05 else None
        self._open.add(id)
        ends: list[Any] = []
        try:
            whole = rng.random() < 0.3
            reply = await self.router(Request(id, "route", TEXT, deadline=deadline, hints=hints, whole=whole))
        except PenstockError as error:
            self._failed(id, error)
            return
        reply.add_end_callback(lambda ended: ends.append(ended.outcome))
        reply.add_end_callback(lambda _: self._open.discard(id))
        if rng.random() < 0.1:
            self.loop.call_later(rng.random() * 2.0, reply.close)
        words = await self._read(reply)
        self._check(id, reply, words, ends)

    async def _read(self, reply: Reply) -> list[str]:
        words: list[str] = []
        try:
            async for event in reply:
                if isinstance(event, Text):
                    words.extend(event.text.split())
        except PenstockError:
            pass
        return words

    # --- what must never break

    def _check(self, id: str, reply: Reply, words: list[str], ends: list[Any]) -> None:
        if self._violations:
            raise Violation(self._violations[0])
        for model in self.models.values():
            if id in model.working:
                raise Violation(f"{model.name} works for request {id}, which has ended")
        if len(ends) != 1:
            raise Violation(f"request {id} has ended {len(ends)} times")
        speakers = {word.rpartition(".")[0] for word in words}
        numbers = [int(word.rpartition(".")[2]) for word in words]
        if len(speakers) > 1:
            raise Violation(f"request {id} was answered by {speakers}")
        if numbers != list(range(len(numbers))):
            raise Violation(f"request {id} got the words {numbers}")
        if isinstance(reply.outcome, PenstockError):
            self._failed(id, reply.outcome)
            return
        self.seen["degraded" if reply.meta.degraded else "answered"] += 1
        if words and reply.meta.model != words[0].partition(".")[0]:
            raise Violation(f"request {id} says {reply.meta.model}, and {words[0]} answered")

    def _failed(self, id: str, error: PenstockError) -> None:
        self._open.discard(id)
        self.seen[error.code] += 1
        if isinstance(error, Internal):
            raise Violation(f"request {id} met a bug")
        if isinstance(error, (Cancelled, DeadlineExceeded, BadInput)) or self._may_refuse():
            return
        if not self._asked.get(id):
            raise Violation(f"request {id} was asked of nobody, and told {error.message}")

    def _may_refuse(self) -> bool:
        ceilings, ladder = self.settings.ceilings, self.settings.ladder
        return ceilings != CeilingSettings() or (ladder is not None and "refuse" in ladder.steps)

    def _at_rest(self) -> None:
        if self._violations:
            raise Violation(self._violations[0])
        budget, pool = self.router.budget, self.router.pool
        if (budget.active, budget.retrying) != (0, 0):
            raise Violation(f"at rest {budget.active} requests and {budget.retrying} retries are on their way")
        for member in pool:
            if member.in_flight or member.breaker.probing:
                raise Violation(f"at rest {member.in_flight} requests are with {member.name}")
            self.seen["ejected"] += member.breaker.times > 0
        for model in self.models.values():
            if model.live:
                raise Violation(f"at rest {model.name} works for {model.live}")
        self.seen["tries"] += sum(model.asked for model in self.models.values())


def simulate(seed: int, kind: type[World] = World) -> World:
    """Plays one seed. Raises `Violation`."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    faults: list[Any] = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    try:
        world = kind(seed, loop)
        loop.run_until_complete(world.play())
    except RuntimeError as error:
        raise Violation(str(error)) from error
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    if faults:
        raise Violation(f"a task has failed: {faults[0]}")
    return world
