"""The settings of routing, each with its sentence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from penstock.routing.failure.ladder import LadderSettings


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that are kept, row by row, so that rows asked for again are not computed again."""

    max_mb: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 256
    """Memory for the known rows of all versions of the model, in MiB; the least recently used make room."""


class TargetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of a route."""

    weight: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    """Its share, for the policy weighted."""
    quality: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """How good its answers are, 0 to 1 (default: the models of a route rise evenly, in the order written down)."""


class CeilingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hard limits: a model over one of them is not asked, whatever the policy says."""

    latency_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The longest expected time to the whole answer."""
    cost: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """The highest expected cost of one request, in USD."""
    load: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """The highest load: requests that run and wait, per place (1: full, nobody waits)."""


class RuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer without a model."""

    text: str | None = None
    """Said as it is, by routes that generate text."""
    outputs: dict[str, Any] | None = None
    """Output tensors by name, one row's values, by routes that predict."""
    function: str | None = None
    """"module:attribute" or "file.py:attribute": called with the request's text or rows, gives the answer."""


class ShadowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A share of the requests is also answered by another model, to see how often both agree."""

    model: str
    """Who answers a second time, unseen."""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.01
    """Of the requests that other models answered."""


class ResponseCacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whole answers that are kept for those who ask the same."""

    ttl_s: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    """How old an answer may be."""
    max_mb: Annotated[float, msgspec.Meta(gt=0)] = 256.0
    """Memory for them, in MiB; the least recently used make room."""
    random: bool = False
    """Also keep answers that chance had a part in (temperature over 0 without a seed)."""
    shared: bool = False
    """Let all tenants share what is kept (default: each has its own)."""
    stale_s: Annotated[float, msgspec.Meta(ge=0)] = 86_400.0
    """How much older an answer may be where "cached" is a fallback."""
    similarity: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """Also answer questions that only mean the same: the least cosine of their embeddings (default: off)."""
    embedder: str = ""
    """The served embedding model that similarity needs."""


class RouteSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A public name, and who answers under it."""

    models: dict[str, TargetSettings] | tuple[str, ...]
    """Names of served models (model or model@version)."""
    policy: Literal["first", "weighted", "least_busy", "latency", "cost", "complexity"] = "first"
    """How one is chosen."""
    fallback: tuple[str, ...] = ()
    """Who answers when none of them can, in order: models, "cached" (an older answer), "rule"."""
    target_ms: Annotated[float, msgspec.Meta(gt=0)] = 2000.0
    """latency: the time to the whole answer that is to be held."""
    standard: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """cost: what a request may cost, in USD (default: no bound)."""
    premium: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """cost: what it may cost where the caller wants "premium" (default: no bound)."""
    strong_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """complexity: about how many requests go to the strong model; the threshold follows the questions that come."""
    estimator: str = ""
    """complexity: a file that penstock route calibrate made of one's own feedback (default: the built-in estimate)."""
    log_features: bool = False
    """complexity: keep numbers that describe each question in the ledger, never its words, to calibrate on later."""
    embedder: str = ""
    """complexity: a served embedding model whose vectors help to judge a question."""
    sticky_s: Annotated[float, msgspec.Meta(ge=0)] = 3600.0
    """For how long a session that needed the strong model keeps it."""
    ceilings: CeilingSettings = CeilingSettings()
    """Hard limits."""
    timeout_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """For the whole chain, where a request brings no deadline."""
    patience_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """After so long without a first word a model is given up and the next one asked (default: its own time limits)."""
    hedge_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """After so long without a first word the next model is asked too, and who speaks first answers (default: off)."""
    ladder: LadderSettings | None = None
    """What answers under overload (default: models are asked until their queues are full)."""
    rule: RuleSettings | None = None
    """The answer of "rule"."""
    cache: ResponseCacheSettings | None = None
    """Keep whole answers (default: keep none)."""
    shadow: ShadowSettings | None = None
    """Compare with another model (default: no)."""
