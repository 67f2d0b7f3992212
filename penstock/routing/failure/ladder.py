"""Which step of a route's degradation ladder holds: down under overload, up again when it is over. Pure."""

from __future__ import annotations

import math

import msgspec


class LadderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a route does when its models' queues grow: each step is cheaper than the one before."""

    steps: tuple[str, ...] = ()
    """What answers instead, in order: names of models, "cached", "rule", "refuse"."""
    enter_ms: float = 500.0
    """A wait in the queue that is too long: when even the shortest of `window_ms` is longer, the next step is taken."""
    leave_ms: float = 100.0
    """A wait that is short again: when the longest of `hold_s` is shorter, one step is taken back."""
    window_ms: float = 500.0
    """For how long a wait has to be too long."""
    hold_s: float = 5.0
    """For how long it has to be short, and how long a step is kept at least."""


class Ladder:
    """The present step: 0 is the full answer. The standing queue counts, not a burst: a step down needs a window in
    which nobody waited less than `enter_ms` (as CoDel looks at queues: Nichols and Jacobson, 2012)."""

    def __init__(self, settings: LadderSettings):
        self._settings = settings
        self.step = 0
        self._changed = -math.inf
        self._least = math.inf
        self._window: float | None = None
        self._calm_since = math.inf

    def waited(self, seconds: float, now: float) -> int:
        """A request has waited so long; returns the step that holds now."""
        self._least = min(self._least, seconds)
        if seconds * 1000 > self._settings.leave_ms:
            self._calm_since = math.inf
        elif self._calm_since == math.inf:
            self._calm_since = now
        return self.at(now)

    def at(self, now: float) -> int:
        """The step that holds at this moment. Without anybody who waits, calm returns by itself."""
        if self._window is None:
            self._window = now
        if now - self._window >= self._settings.window_ms / 1000:
            standing, self._least, self._window = self._least, math.inf, now
            if standing == math.inf:
                self._calm_since = min(self._calm_since, now)
            elif standing * 1000 > self._settings.enter_ms and self.step < len(self._settings.steps):
                self._go(self.step + 1, now)
        if self.step and now - max(self._calm_since, self._changed) >= self._settings.hold_s:
            self._go(self.step - 1, now)
        return self.step

    def _go(self, step: int, now: float) -> None:
        self.step, self._changed = step, now
        self._calm_since = math.inf if step else now
