"""A request's sampling settings as OpenVINO GenAI reads them."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from penstock.core.errors import BadInput
from penstock.core.generation import Sampling

SEEDS = 2**32
"""The sampler's generator takes 32 bits."""


def config(genai: Any, sampling: Sampling, room: int, ends: Collection[int]) -> Any:
    """The generation config of one sequence. `room`: tokens that the context has left; `ends`: the model's end tokens.

    Raises `BadInput` for what the library refuses.
    """
    chosen = genai.GenerationConfig()
    chosen.apply_chat_template = False
    chosen.max_new_tokens = sampling.max_tokens or room
    chosen.min_new_tokens = sampling.min_tokens
    chosen.ignore_eos = sampling.ignore_eos
    stops = set(ends) | set(sampling.stop_token_ids)
    chosen.stop_token_ids = stops
    if ends:
        chosen.eos_token_id = min(ends)
    chosen.repetition_penalty = sampling.repetition_penalty
    chosen.presence_penalty = sampling.presence_penalty
    chosen.frequency_penalty = sampling.frequency_penalty
    chosen.logprobs = 0 if sampling.logprobs is None else 1
    if sampling.temperature:
        _draw(chosen, sampling)
    try:
        chosen.validate()
    except Exception as error:
        raise BadInput("the engine does not take these sampling settings", detail=str(error)) from error
    return chosen


def _draw(chosen: Any, sampling: Sampling) -> None:
    """Tokens are drawn at random."""
    chosen.do_sample = True
    chosen.temperature = sampling.temperature
    chosen.rng_seed = secrets.randbelow(SEEDS) if sampling.seed is None else sampling.seed % SEEDS
    if sampling.top_p is not None:
        chosen.top_p = sampling.top_p
    if sampling.min_p:
        chosen.min_p = sampling.min_p
    if sampling.top_k:
        chosen.top_k = sampling.top_k
