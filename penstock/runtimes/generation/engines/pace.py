"""How much of waiting prompts a step may compute, so that answers under way go on."""

from __future__ import annotations


class Pace:
    """Prompt tokens for one step, so that they take about `seconds`, learned from the steps before.

    At most `most`, and at least `least`, else prompts would never be done. Begins with little.
    """

    def __init__(self, most: int, least: int, seconds: float):
        self._most = most
        self._least = least
        self._seconds = seconds
        self._each = 0.0

    def budget(self) -> int:
        """Prompt tokens of the next step."""
        if not self._each:
            return min(self._most, 4 * self._least)
        return max(self._least, min(self._most, int(self._seconds / self._each)))

    def took(self, tokens: int, seconds: float) -> None:
        """A step computed so many prompt tokens in this time."""
        if tokens < self._least:
            return
        each = seconds / tokens
        self._each = each if not self._each else 0.7 * self._each + 0.3 * each
