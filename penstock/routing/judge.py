"""Asks how hard a question is: of its text alone, or with its embedding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from penstock.core.request import Request
from penstock.routing.complexity.threshold import Threshold
from penstock.routing.signals import UNJUDGED, Judged, question_of

Embed = Callable[[Request, str], Awaitable[npt.NDArray[np.float32] | None]]
"""The vector of a text; None where its model is away or slow."""


class Estimate(Protocol):
    """Says how likely a small model suffices for a text, and whether it knows texts of this kind."""

    def __call__(self, text: str, vector: Sequence[float] | None = None) -> tuple[float, bool]: ...

    def logged(self, text: str) -> str:
        """What may be kept of a text: numbers, never its words."""


class Judge:
    """`threshold`: the least probability with which the small model is asked; it follows the questions that each
    tenant asks."""

    def __init__(self, estimate: Estimate, threshold: Threshold, embed: Embed | None = None):
        self.threshold = threshold
        self._estimate = estimate
        self._embed = embed

    async def __call__(self, request: Request) -> Judged:
        """How likely a small model suffices for what the user said last."""
        text = question_of(request)
        if not text:
            return UNJUDGED
        vector = None if self._embed is None else await self._embed(request, text)
        threshold = self.threshold.of(request.tenant)
        easy, sure = self._estimate(text, None if vector is None else vector.tolist())
        self.threshold.saw(request.tenant, easy, sure)
        return Judged(easy, sure, threshold)

    def logged(self, request: Request) -> str:
        """What may be kept of a question, to calibrate on."""
        text = question_of(request)
        return self._estimate.logged(text) if text else ""
