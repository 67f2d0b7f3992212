"""From what probability on the small model is asked, so that the share which is wanted goes to the strong one."""

from __future__ import annotations

from collections import deque

WINDOW = 1000
"""Questions that are looked back at."""
ENOUGH = 200
"""With fewer, the threshold of the calibration data holds."""
EVERY = 20
"""Questions after which it is made anew."""


class Threshold:
    """Follows the questions that come: which share of them is hard differs between one's own and those of the
    calibration. `value`: now; `strong_share`: wanted. Pure, but for what it has seen."""

    def __init__(self, value: float, strong_share: float):
        self.value = value
        self._share = strong_share
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._since = 0

    def saw(self, easy: float, sure: bool) -> None:
        """A question came. One of an unknown kind goes to the strong model in any case, and counts."""
        self._recent.append(easy if sure else 0.0)
        self._since += 1
        if len(self._recent) >= ENOUGH and self._since >= EVERY:
            self._since = 0
            ordered = sorted(self._recent)
            place = min(len(ordered) - 1, round(self._share * len(ordered)))
            self.value = float("inf") if self._share >= 1 else ordered[place]
