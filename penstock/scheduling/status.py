"""What a deployment says of itself: the truth about its workers."""

from __future__ import annotations

from penstock.core.errors import PenstockError
from penstock.core.model import State
from penstock.scheduling.decider import Decider
from penstock.scheduling.dispatcher import Dispatcher


def state_of(decider: Decider, failure: PenstockError | None) -> State:
    """READY exactly when a worker is up and requests are taken."""
    if failure is not None:
        return State.FAILED
    if decider.draining:
        return State.DRAINING
    supervisor = decider.supervisor
    if supervisor.up:
        return State.READY
    return State.UNAVAILABLE if supervisor.was_ready else State.LOADING


def reason_of(state: State, failure: PenstockError | None, last_end: str) -> str:
    """Why it is not ready, for people; empty when it is. `last_end`: how the last worker ended."""
    if failure is not None:
        return failure.message
    return {
        State.UNAVAILABLE: f"no worker is up; the last one ended: {last_end}",
        State.LOADING: "loading",
        State.DRAINING: "finishing accepted work",
    }.get(state, "")


def gauges_of(dispatcher: Dispatcher) -> dict[str, float]:
    """What the metrics page shows of the present."""
    supervisor = dispatcher.supervisor
    return {
        "queue_depth": len(dispatcher.queue),
        "in_flight": dispatcher.running,
        "workers": supervisor.up,
        "worker_restarts": supervisor.restarts,
    }
