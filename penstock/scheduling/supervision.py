"""The life of a deployment's replicas: start, watch, kill, restart with growing pauses. Pure.

Events go in (ready, exited, began, finished), due actions come out; no process is touched here.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class SupervisionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How workers are watched and restarted."""

    load_timeout_s: float = 300.0
    """A worker that is not ready by then is killed and started again."""
    backoff_s: float = 0.5
    """Pause before the second restart in a row; it doubles with each (the first is at once)."""
    max_backoff_s: float = 30.0
    """The longest pause between restarts."""
    crash_loop_after: int = 5
    """Deaths in a row, without a finished batch between, after which requests are refused (503)."""


class Life(StrEnum):
    """Where a replica stands."""

    DOWN = "down"
    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"


@dataclass(slots=True, eq=False)
class Replica:
    """A worker as the scheduler sees it. `until`: when to act on it (spawn, or give up on it).

    `killed`: it was told to die and has not yet; it gets no more work. `deaths`: its own, in a row.
    """

    id: int
    life: Life = Life.DOWN
    since: float = 0.0
    until: float = 0.0
    batch: Any = None
    killed: bool = False
    deaths: int = 0


@dataclass(slots=True)
class Due:
    """What the edge must do now."""

    spawn: list[int] = field(default_factory=list)
    kill: list[int] = field(default_factory=list)


class Supervisor:
    """Replicas of one deployment. `hang_s`: a batch that runs longer has hung."""

    def __init__(self, replicas: int, settings: SupervisionSettings, hang_s: float, rng: random.Random):
        self.settings = settings
        self.hang_s = hang_s
        self.replicas = [Replica(index) for index in range(replicas)]
        self.deaths_in_row = 0
        self.restarts = 0
        self.was_ready = False
        self._rng = rng

    @property
    def crash_looping(self) -> bool:
        """Whether workers die again and again, and none is up now."""
        return self.deaths_in_row >= self.settings.crash_loop_after and self.up == 0

    @property
    def up(self) -> int:
        """Replicas that can run batches: idle or busy."""
        return sum(replica.life in (Life.IDLE, Life.BUSY) and not replica.killed for replica in self.replicas)

    def idle(self) -> Replica | None:
        """The replica that has been idle longest."""
        best: Replica | None = None
        for replica in self.replicas:
            if replica.life is Life.IDLE and (best is None or replica.since < best.since):
                best = replica
        return best

    def ready(self, replica_id: int, now: float) -> None:
        """The worker has loaded and warmed up."""
        replica = self.replicas[replica_id]
        if replica.life is Life.STARTING and not replica.killed:
            self._move(replica, Life.IDLE, now, math.inf)
            self.was_ready = True

    def began(self, replica: Replica, batch: object, now: float, deadline: float = 0.0) -> None:
        """A batch was sent to an idle replica; it has not hung while one of its requests has time left
        (`deadline`: the latest of theirs)."""
        replica.batch = batch
        self._move(replica, Life.BUSY, now, max(now + self.hang_s, deadline))

    def finished(self, replica_id: int, now: float) -> None:
        """The batch came back, with a result or with an error of the model's."""
        replica = self.replicas[replica_id]
        replica.batch = None
        self.deaths_in_row = replica.deaths = 0
        if not replica.killed:
            self._move(replica, Life.IDLE, now, math.inf)

    def alive(self, replica_id: int, now: float) -> None:
        """A worker that runs many requests at once has said something: it has not hung."""
        replica = self.replicas[replica_id]
        if replica.life is Life.BUSY and not replica.killed:
            replica.until = now + self.hang_s

    def rests(self, replica_id: int, now: float) -> None:
        """A worker has nothing left to do."""
        replica = self.replicas[replica_id]
        replica.batch = None
        if replica.life is Life.BUSY and not replica.killed:
            self._move(replica, Life.IDLE, now, math.inf)

    def proved(self, replica_id: int) -> None:
        """A worker has finished a request: its deaths so far were no crash loop."""
        self.deaths_in_row = self.replicas[replica_id].deaths = 0

    def retry_after(self, now: float) -> float:
        """Seconds until it is worth asking again."""
        down = [replica.until - now for replica in self.replicas if replica.life is Life.DOWN]
        return max(1.0, min(down, default=1.0))

    def recycle(self, replica_id: int, now: float) -> None:
        """An idle worker is ended from outside; it takes no more batches, and `exited` follows."""
        replica = self.replicas[replica_id]
        replica.killed = True
        self._move(replica, Life.STARTING, now, math.inf)

    def exited(self, replica_id: int, now: float) -> Any:
        """The worker is gone; returns the batch that it was running."""
        replica = self.replicas[replica_id]
        batch, replica.batch = replica.batch, None
        self.deaths_in_row += 1
        replica.deaths += 1
        self.restarts += 1
        replica.killed = False
        self._move(replica, Life.DOWN, now, now + self._pause(replica))
        return batch

    def due(self, now: float) -> Due:
        """Replicas to start and workers to kill now."""
        due = Due()
        for replica in self.replicas:
            if replica.until > now:
                continue
            if replica.life is Life.DOWN:
                self._move(replica, Life.STARTING, now, now + self.settings.load_timeout_s)
                due.spawn.append(replica.id)
            elif replica.life in (Life.STARTING, Life.BUSY) and not replica.killed:
                replica.killed = True
                replica.until = math.inf
                due.kill.append(replica.id)
        return due

    def next(self) -> float:
        """The moment of the next action."""
        return min((replica.until for replica in self.replicas), default=math.inf)

    def _pause(self, replica: Replica) -> float:
        """Counts each replica's own deaths: one that cannot load must not hide behind one that works."""
        if replica.deaths <= 1:
            return 0.0
        doubled = self.settings.backoff_s * 2.0 ** min(replica.deaths - 2, 30)
        return min(doubled, self.settings.max_backoff_s) * self._rng.uniform(0.8, 1.2)

    @staticmethod
    def _move(replica: Replica, life: Life, now: float, until: float) -> None:
        replica.life = life
        replica.since = now
        replica.until = until
