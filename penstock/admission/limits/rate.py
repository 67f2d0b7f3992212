"""So much per minute: the generic cell rate algorithm (GCRA), a leaky bucket that is one number. Pure."""

from __future__ import annotations


class Rate:
    """`per_minute` units on average; `burst_s` seconds' worth of them may come at once.

    `ahead`: the moment at which what was taken so far has been earned (the theoretical arrival time). What is taken
    may lie in the future by `burst_s` at most; a correction may push it further, and then nothing is given until time
    has caught up.
    """

    __slots__ = ("ahead", "burst_s", "interval_s", "per_minute")

    def __init__(self, per_minute: float, burst_s: float):
        self.per_minute = per_minute
        self.interval_s = 60.0 / per_minute
        # Where not even one unit fits the burst, nothing would ever be given.
        self.burst_s = max(burst_s, self.interval_s)
        self.ahead = 0.0

    @property
    def at_once(self) -> float:
        """Units that may come at once after a pause."""
        return self.burst_s / self.interval_s

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so many units may be taken (0: now)."""
        until = max(self.ahead, now) + amount * self.interval_s - self.burst_s
        return until - now if until - now > 1e-6 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Takes units, whether there are any or not."""
        self.ahead = max(self.ahead, now) + amount * self.interval_s

    def correct(self, amount: float, now: float) -> None:
        """So many more units were used than taken before; fewer, where it is negative."""
        if amount > 0:
            self.take(amount, now)
        else:
            self.ahead += amount * self.interval_s

    def remaining(self, now: float) -> float:
        """Units that may be taken now."""
        return max(0.0, (self.burst_s - self.reset_s(now)) / self.interval_s)

    def reset_s(self, now: float) -> float:
        """Seconds until as much may be taken as ever."""
        return max(0.0, self.ahead - now)
