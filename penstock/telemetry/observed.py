"""Routes, limits and the ledger as the metrics page sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from penstock.core.quota import Quota


class Breaking(Protocol):
    """A model's breaker."""

    def ejected(self, now: float) -> bool: ...


class Asked(Protocol):
    """A model as routes see it."""

    @property
    def name(self) -> str: ...

    @property
    def breaker(self) -> Breaking: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def answers(self) -> int: ...

    @property
    def failures(self) -> int: ...

    def latency_s(self, now: float) -> float | None: ...


class Stepping(Protocol):
    """A route's degradation ladder."""

    def at(self, now: float) -> int: ...


class HasLadder(Protocol):
    """A route."""

    @property
    def ladder(self) -> Stepping | None: ...


class Retrying(Protocol):
    """The budget of retries."""

    @property
    def retrying(self) -> int: ...


class Routing(Protocol):
    """The router as the metrics page sees it."""

    @property
    def routes(self) -> Mapping[str, HasLadder]: ...

    @property
    def pool(self) -> Iterable[Asked]: ...

    @property
    def budget(self) -> Retrying: ...


class Limiting(Protocol):
    """The accounts of tenants. `refused`: by tenant and limit."""

    @property
    def refused(self) -> Counter[tuple[str, str]]: ...

    def quotas(self) -> Iterator[tuple[str, str, Quota]]: ...


class Writing(Protocol):
    """The ledger's thread."""

    @property
    def written(self) -> int: ...

    @property
    def lost(self) -> int: ...

    @property
    def waiting(self) -> int: ...

    @property
    def up(self) -> bool: ...
