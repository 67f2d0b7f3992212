"""From what probability on the small model is asked, so that the share which is wanted goes to the strong one."""

from __future__ import annotations

from collections import OrderedDict, deque

WINDOW = 1000
"""A tenant's questions that are looked back at."""
ENOUGH = 200
"""With fewer, the threshold of the calibration data holds."""
KNOWN = 50
"""Of these, questions of known kinds: with fewer, the threshold of the calibration data holds, too."""
EVERY = 20
"""Questions after which it is made anew."""
LEAST = 0.5
"""The part of the wanted share that questions of known kinds get in any case, however many of unknown kinds come."""
TENANTS = 256
"""Tenants whose questions are followed; the longest silent make room."""


class Threshold:
    """Follows the questions that come, of each tenant by itself: which share of them is hard differs between tenants,
    and from the data of the calibration; and no tenant is to decide who answers another. Pure, but for what it has
    seen.

    `value`: by the calibration, and none falls under half of it; `strong_share`: wanted. A threshold that is high only
    costs, and no more than the share that is wanted; one that is low leaves hard questions to the small model.
    """

    def __init__(self, value: float, strong_share: float, tenants: int = TENANTS):
        self.value = value
        self._share = strong_share
        self._capacity = tenants
        self._tenants: OrderedDict[str | None, _Followed] = OrderedDict()

    def of(self, tenant: str | None) -> float:
        """The threshold for a tenant's next question."""
        followed = self._tenants.get(tenant)
        return self.value if followed is None else followed.threshold

    def saw(self, tenant: str | None, easy: float, sure: bool) -> None:
        """A tenant asked a question. One of an unknown kind goes to the strong model in any case, and counts."""
        followed = self._tenants.get(tenant)
        if followed is None:
            followed = self._tenants[tenant] = _Followed(self.value, self._share)
            if len(self._tenants) > self._capacity:
                self._tenants.popitem(last=False)
        else:
            self._tenants.move_to_end(tenant)
        followed.saw(easy if sure else None)


class _Followed:
    """One tenant's questions: how easy, None for one of an unknown kind."""

    __slots__ = ("_calibrated", "_recent", "_share", "_since", "threshold")

    def __init__(self, calibrated: float, strong_share: float):
        self.threshold = self._calibrated = calibrated
        self._share = strong_share
        self._recent: deque[float | None] = deque(maxlen=WINDOW)
        self._since = 0

    def saw(self, easy: float | None) -> None:
        self._recent.append(easy)
        self._since += 1
        if len(self._recent) >= ENOUGH and self._since >= EVERY:
            self._since = 0
            self.threshold = self._anew()

    def _anew(self) -> float:
        if self._share >= 1:
            return float("inf")
        known = sorted(easy for easy in self._recent if easy is not None)
        if len(known) < KNOWN:
            return self._calibrated
        wanted = self._share * len(self._recent) - (len(self._recent) - len(known))
        place = round(max(wanted, LEAST * self._share * len(known)))
        return max(known[min(place, len(known) - 1)], self._calibrated / 2)
