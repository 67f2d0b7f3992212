"""What an answer costs."""

from __future__ import annotations

from typing import Annotated

import msgspec

Money = Annotated[float, msgspec.Meta(ge=0)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs, in USD: per million tokens for a provider's, per hour of its machine for a local one.

    `cached`: prompt tokens that the provider had cached (None: as other prompt tokens). `hourly`: of the machine;
    a request pays for the share of it that it kept busy. `above`: some providers ask more for long prompts.
    """

    prompt: Money = 0.0
    """USD per million prompt tokens."""
    cached: Money | None = None
    """USD per million prompt tokens that the provider had cached (default: as other prompt tokens)."""
    completion: Money = 0.0
    """USD per million generated tokens."""
    request: Money = 0.0
    """USD per request."""
    hourly: Money = 0.0
    """USD per hour of the machine; a request pays for the share of it that it kept busy."""
    above: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Prompts of more tokens than this have the three prices below, for all of their tokens (0: there are none)."""
    above_prompt: Money = 0.0
    """prompt, of a long one."""
    above_cached: Money | None = None
    """cached, of a long one."""
    above_completion: Money = 0.0
    """completion, of a long one."""


def of_tokens(price: Price, prompt: int, cached: int, completion: int) -> float:
    """USD for the tokens of one answer; `cached` of the `prompt` tokens were in the provider's cache. Never below 0,
    whatever a provider counted."""
    prompt, completion = max(0, prompt), max(0, completion)
    cached = min(max(0, cached), prompt)
    fresh_rate, cached_rate, rate = price.prompt, price.cached, price.completion
    if 0 < price.above < prompt:
        fresh_rate, cached_rate, rate = price.above_prompt, price.above_cached, price.above_completion
    if cached_rate is None:
        cached_rate = fresh_rate
    return ((prompt - cached) * fresh_rate + cached * cached_rate + completion * rate) / 1e6 + price.request


def of_time(price: Price, busy_s: float, cores: float = 1.0) -> float:
    """USD for so many seconds of so large a share of the machine (`cores`: 0 to 1)."""
    return price.hourly * busy_s * cores / 3600
