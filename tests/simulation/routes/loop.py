"""An event loop whose clock is not the wall's: when nothing is left to do now, the next timer is due at once."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Nothing(selectors.SelectSelector):
    """Waits for no file, but lets the loop's clock pass."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop | None = None

    def select(self, timeout: float | None = None) -> list[Any]:
        assert self.loop is not None
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is due: a request would wait for ever")
        self.loop.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`now`: seconds; starts at 1000, so that 0 is long ago."""

    def __init__(self) -> None:
        self.now = 1000.0
        selector = _Nothing()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """The virtual moment."""
        return self.now
