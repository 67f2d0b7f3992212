"""The pure half of a service, as its life sees it."""

from __future__ import annotations

from typing import Protocol

from penstock.core.errors import PenstockError
from penstock.scheduling.supervision import Supervisor


class Decider(Protocol):
    """The pure half of a service: a dispatcher of batches, or a flow of jobs."""

    draining: bool
    supervisor: Supervisor

    @property
    def idle(self) -> bool: ...

    def ready(self, replica_id: int, now: float) -> None: ...

    def exited(self, replica_id: int, now: float) -> None: ...

    def fail_all(self, error: PenstockError) -> None: ...
