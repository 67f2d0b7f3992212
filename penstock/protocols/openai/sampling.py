"""The fields of a request that the OpenAI doors of generated text share, with vLLM's beside OpenAI's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from penstock.core.generation import Sampling
from penstock.core.ranges import MinTokens, Penalty, Repetition, Seed, Share, Temperature, TopK
from penstock.protocols.generation import limits
from penstock.protocols.generation.limits import TokenId
from penstock.protocols.reading import wrong

Bias = Annotated[float, Meta(ge=-100, le=100)]

SAMPLING_FIELDS: Mapping[str, str] = {
    "stream": "true to have the answer in pieces, as server-sent events",
    "temperature": "a number from 0 (always the likeliest token) to 2",
    "top_p": "a number from 0 to 1: choose among the likeliest tokens that make up this share",
    "stop": "a text, or a list of at most 16 texts of at most 1024 characters: the answer ends before it",
    "seed": "a 64-bit integer; the same seed gives the same answer",
    "presence_penalty": "a number from -2 to 2",
    "frequency_penalty": "a number from -2 to 2",
    "logit_bias": "an object from token id to a number from -100 to 100, at most 1024 of them",
    "user": "a text",
    "top_k": "how many of the likeliest tokens to choose among; 0 or -1 for all",
    "min_p": "a number from 0 to 1: no token less likely than this share of the likeliest one's probability",
    "repetition_penalty": "a number over 0 and at most 10; 1 for none",
    "min_tokens": "how many tokens an answer has at least, 0 to 1000000",
    "ignore_eos": "true to go on to the most tokens allowed, whatever the model says",
    "stop_token_ids": "a list of at most 1024 token ids; the answer ends at any of them",
    "timeout_ms": "the time to answer in milliseconds",
    "priority": "an integer from 1 (most urgent) to 9",
}


class SamplingFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every such request may say of how tokens are chosen; see `SAMPLING_FIELDS`."""

    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    stop: str | list[str] | None = None
    seed: Seed | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[TokenId, Bias] | None = None
    user: str | None = None
    top_k: TopK | None = None
    min_p: Share | None = None
    repetition_penalty: Repetition | None = None
    min_tokens: MinTokens | None = None
    ignore_eos: bool | None = None
    stop_token_ids: list[TokenId] | None = None
    timeout_ms: float | None = None
    priority: int | None = None


def sampling_of(fields: SamplingFields, max_tokens: int | None, logprobs: int | None) -> Sampling:
    """How tokens are chosen. Raises `BadInput` naming the field."""
    limits.check_count("logit_bias", list(fields.logit_bias or ()), limits.MAX_BIASES)
    limits.check_count("stop_token_ids", fields.stop_token_ids or (), limits.MAX_BIASES)
    least = fields.min_tokens or 0
    if max_tokens is not None and least > max_tokens:
        raise wrong("min_tokens", f"min_tokens is {least}, over the most tokens allowed, {max_tokens}")
    return Sampling(
        max_tokens=max_tokens,
        min_tokens=least,
        temperature=fields.temperature,
        top_p=limits.top_p_of(fields.top_p),
        top_k=limits.top_k_of(fields.top_k),
        min_p=fields.min_p,
        seed=limits.seed_of(fields.seed),
        presence_penalty=fields.presence_penalty or 0.0,
        frequency_penalty=fields.frequency_penalty or 0.0,
        repetition_penalty=fields.repetition_penalty,
        stop=limits.stops_of(fields.stop),
        stop_token_ids=tuple(fields.stop_token_ids or ()),
        ignore_eos=bool(fields.ignore_eos),
        logprobs=logprobs,
        logit_bias=fields.logit_bias or {},
    )


@lru_cache(16)
def _reading(names: tuple[str, ...]) -> Callable[[msgspec.Struct], tuple[Any, ...]]:
    """Reads all of these fields at once: most requests have none of them."""
    return attrgetter(*names)


def refuse(message: msgspec.Struct, not_offered: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
    """Raises `BadInput` for a field that is known and cannot be obeyed; null, and values that change nothing, are fine.

    `not_offered`: field → (values that change nothing, why not and what to use); two fields at least.
    """
    values = _reading(tuple(not_offered))(message)
    if values.count(None) == len(values):
        return
    for name, (harmless, why) in not_offered.items():
        value = getattr(message, name)
        if value is not None and not any(type(value) is type(fine) and value == fine for fine in harmless):
            raise wrong(name, f"{name} is not offered: {why}")
