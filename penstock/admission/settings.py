"""What tenants may use, and how much work the server takes on: settings, each with its sentence."""

from __future__ import annotations

from typing import Annotated

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
Money = Annotated[float, msgspec.Meta(ge=0)]
EVERYBODY = "*"
"""The name under which the limits of all tenants stand that have none of their own."""


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits; what is left out is not limited."""

    requests_per_minute: Positive | None = None
    """Requests, on average over time."""
    tokens_per_minute: Positive | None = None
    """Tokens of prompts and answers together: estimated when a request comes, corrected when it ends."""
    cost_per_minute: Positive | None = None
    """USD, by the price book: what such requests usually cost when one comes, corrected when it ends."""
    burst_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    """Seconds' worth of the limits above that may be used at once after a pause."""
    concurrency: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Requests under way at once, on each server."""
    budget_per_day: Money | None = None
    """USD per calendar day (UTC)."""
    budget_per_month: Money | None = None
    """USD per calendar month (UTC)."""

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, name) is not None for name in _LIMITS)


_LIMITS = tuple(name for name in LimitSettings.__struct_fields__ if name != "burst_s")


class TenantSettings(LimitSettings, frozen=True, forbid_unknown_fields=True):
    """One tenant: limits for all its requests together, and its share."""

    weight: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    """Its share where tenants wait in one line: with 2 it gets twice what one with 1 gets."""
    each_key: LimitSettings | None = None
    """Limits for each of its keys by itself, besides."""
    models: dict[str, LimitSettings] = {}
    """Limits for single models and routes, by the name that is asked for, besides."""


class AdaptiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bound on requests under way per model or route that follows how long they take."""

    initial: Annotated[int, msgspec.Meta(ge=1)] = 16
    """Requests under way before anything was measured."""
    least: Annotated[int, msgspec.Meta(ge=1)] = 4
    """The bound never sinks below this."""
    most: Annotated[int, msgspec.Meta(ge=1)] = 4096
    """The bound never rises above this."""
    tolerance: Annotated[float, msgspec.Meta(ge=1)] = 1.5
    """How many times longer than usual requests may take before the bound sinks."""
    smoothing: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.2
    """How fast the bound follows, 0 to 1."""
