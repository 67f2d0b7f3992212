"""What an answer costs."""

from __future__ import annotations

import msgspec


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs, in USD: per million tokens for a provider's, per hour of its machine for a local one.

    `cached`: prompt tokens that the provider had cached (None: as other prompt tokens). `hourly`: of the machine;
    a request pays for the share of it that it kept busy.
    """

    prompt: float = 0.0
    """USD per million prompt tokens."""
    cached: float | None = None
    """USD per million prompt tokens that the provider had cached (default: as other prompt tokens)."""
    completion: float = 0.0
    """USD per million generated tokens."""
    request: float = 0.0
    """USD per request."""
    hourly: float = 0.0
    """USD per hour of the machine; a request pays for the share of it that it kept busy."""


def of_tokens(price: Price, prompt: int, cached: int, completion: int) -> float:
    """USD for the tokens of one answer; `cached` of the `prompt` tokens were in the provider's cache."""
    rate = price.prompt if price.cached is None else price.cached
    return ((prompt - cached) * price.prompt + cached * rate + completion * price.completion) / 1e6 + price.request


def of_time(price: Price, busy_s: float, cores: float = 1.0) -> float:
    """USD for so many seconds of so large a share of the machine (`cores`: 0 to 1)."""
    return price.hourly * busy_s * cores / 3600
