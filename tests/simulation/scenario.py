"""What one seed stands for: the settings of a deployment, and how nasty its world is."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from penstock.scheduling.batching.policy import BatchingSettings
from penstock.scheduling.supervision import SupervisionSettings

Policy = Literal["dynamic", "static", "none"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """How clients behave. Fields named after a deed are its chance per request."""

    requests: int
    span_s: float
    burst: int
    keys: int
    levels: int
    max_rows: int
    deadline: float
    short_s: float
    cancel: float
    twin: float
    large: float
    empty: float
    bad: float
    crash: float
    hang: float
    resend: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """How workers behave while it lasts (until `calm_at`); afterwards only poison kills them."""

    calm_at: float
    compute_s: float
    load_s: float
    slow: float
    crash: float
    hang: float
    load_crash: float
    load_hang: float
    idle_crashes: int
    outage: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything random about one seed's settings.

    `turn_s`: how long one turn of the event loop gathers events, and how late a timer may ring. `max_tokens`:
    rows are counted in tokens, and so many make a batch (0: rows count). `names_rows`: the model
    says which rows of a batch are wrong. `tenants` wait in one queue, the first of them with twice the others' weight.
    """

    seed: int
    replicas: int
    capacity: int
    batching: BatchingSettings
    supervision: SupervisionSettings
    hang_s: float
    replay: bool
    drain_at: float | None
    turn_s: float
    traffic: Traffic
    trouble: Trouble
    max_tokens: int = 0
    names_rows: bool = False
    tenants: int = 1

    @property
    def wait_s(self) -> float:
        """How long a request may wait for company."""
        if self.batching.policy == "none":
            return 0.0
        return (self.batching.max_wait_ms or 0.0) / 1000

    @property
    def max_size(self) -> int:
        """Rows in a batch at most."""
        return self.batching.max_rows


class _Dice:
    """Half of all troubles are absent from a given seed, so that the others show undisturbed."""

    def __init__(self, seed: int):
        self.rng = random.Random(seed)

    def maybe(self, most: float, chance: float = 0.5) -> float:
        return self.rng.uniform(0, most) if self.rng.random() < chance else 0.0

    def among(self, *values: float) -> float:
        return self.rng.choice(values)


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    dice = _Dice(seed)
    rng = dice.rng
    span_s = dice.among(0.05, 0.5, 2.0, 6.0)
    outage = _outage(dice, span_s)
    hang_s = rng.uniform(0.5, 3.0)
    return Scenario(
        seed=seed,
        replicas=rng.randint(1, 4) if rng.random() < 0.6 else 1,
        capacity=rng.choice((2, 5, 20, 100)),
        batching=_batching(dice),
        supervision=SupervisionSettings(
            load_timeout_s=rng.uniform(1.0, 4.0),
            backoff_s=rng.uniform(0.05, 0.5),
            max_backoff_s=rng.uniform(0.5, 4.0),
            crash_loop_after=rng.randint(2, 5),
        ),
        hang_s=hang_s,
        replay=rng.random() < 0.8,
        drain_at=rng.uniform(0, span_s * 1.2) if rng.random() < 0.25 else None,
        turn_s=dice.among(0.0, 0.0, 0.002),
        traffic=_traffic(dice, span_s, hang_s),
        trouble=_trouble(dice, outage[1] if outage else span_s, hang_s, outage),
        max_tokens=rng.choice((20, 64, 300)) if rng.random() < 0.4 else 0,
        names_rows=rng.random() < 0.5,
        tenants=rng.choice((1, 1, 3)),
    )


def _batching(dice: _Dice) -> BatchingSettings:
    rng = dice.rng
    policy: Policy = rng.choices(("dynamic", "static", "none"), (6, 3, 2))[0]
    wait_ms = dice.among(0, 0, 5, 50, 300) if policy == "dynamic" else dice.among(50, 300, 1000)
    return BatchingSettings(policy=policy, max_size=rng.choice((1, 2, 3, 4, 8, 16)), max_wait_ms=wait_ms)


def _outage(dice: _Dice, span_s: float) -> tuple[float, float] | None:
    """A time in which every load fails, or none."""
    if dice.rng.random() > 0.2:
        return None
    start = dice.rng.uniform(0, span_s)
    return start, start + dice.rng.uniform(0.2, 6.0)


def _traffic(dice: _Dice, span_s: float, hang_s: float) -> Traffic:
    rng = dice.rng
    return Traffic(
        requests=rng.randint(5, 80),
        span_s=span_s,
        burst=rng.choice((1, 1, 3, 10)),
        keys=rng.choice((1, 1, 2, 4)),
        levels=rng.choice((1, 2, 3)),
        max_rows=rng.choice((1, 1, 3, 6)),
        deadline=dice.maybe(1.0, 0.7),
        short_s=dice.among(0.008, 0.02, 0.3, 2.0, hang_s),
        cancel=dice.maybe(0.4),
        twin=dice.maybe(0.8, 0.3),
        large=dice.maybe(0.3, 0.3),
        empty=dice.maybe(0.2, 0.2),
        bad=dice.maybe(0.3),
        crash=dice.maybe(0.2),
        hang=dice.maybe(0.1, 0.3),
        resend=dice.maybe(1.0),
    )


def _trouble(dice: _Dice, calm_at: float, hang_s: float, outage: tuple[float, float] | None) -> Trouble:
    rng = dice.rng
    return Trouble(
        calm_at=calm_at,
        compute_s=dice.among(0.002, 0.02, 0.1, 0.4 * hang_s),
        load_s=dice.among(0.001, 0.1, 0.8),
        slow=dice.maybe(0.3),
        crash=dice.maybe(0.3, 0.4),
        hang=dice.maybe(0.2, 0.3),
        load_crash=dice.maybe(0.6, 0.3),
        load_hang=dice.maybe(0.3, 0.2),
        idle_crashes=rng.randint(1, 4) if rng.random() < 0.4 else 0,
        outage=outage,
    )
