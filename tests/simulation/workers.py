"""Virtual workers: where each stands in truth, whatever the supervisor believes."""

from __future__ import annotations

from enum import Enum

from tests.simulation.clients import Sent


class Life(Enum):
    """A virtual process."""

    DOWN = "down"
    LOADING = "loading"
    READY = "ready"
    BUSY = "busy"


class VirtualWorker:
    """One worker. `life_id` tells a process from the next one in its place; `doomed`: told to die."""

    __slots__ = ("batch", "deaths", "doomed", "id", "life", "life_id", "since")

    def __init__(self, index: int):
        self.id = index
        self.life = Life.DOWN
        self.life_id = 0
        self.since = 0.0
        self.deaths = 0
        self.doomed = False
        self.batch: list[Sent] = []

    @property
    def up(self) -> bool:
        """Whether it has loaded and may live on."""
        return self.life in (Life.READY, Life.BUSY) and not self.doomed

    def move(self, life: Life, now: float) -> None:
        """Enters a state."""
        self.life = life
        self.since = now
