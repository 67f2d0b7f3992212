"""A request's sampling settings as OpenVINO GenAI reads them."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any

from penstock.core.errors import BadInput
from penstock.core.generation import Sampling
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.engines.openvino_settings import LOOKUP

SEEDS = 2**32
"""The sampler's generator takes 32 bits."""
NEVER = 2**31 - 1
"""No vocabulary has this token."""
MOST = 1 - 1e-6
"""The library takes no `min_p` of 1; this one leaves the same tokens."""


def config(genai: Any, sampling: Sampling, room: int, ends: Collection[int]) -> Any:
    """The generation config of one sequence. `room`: tokens that the context has left; `ends`: the model's end tokens.

    Raises `BadInput` for what the library refuses.
    """
    chosen = genai.GenerationConfig()
    try:
        _limit(chosen, sampling, sampling.max_tokens or room, ends)
        chosen.repetition_penalty = sampling.repetition_penalty or 1.0
        chosen.presence_penalty = sampling.presence_penalty
        chosen.frequency_penalty = sampling.frequency_penalty
        chosen.logprobs = 0 if sampling.logprobs is None else 1
        if sampling.temperature:
            _draw(chosen, sampling)
        chosen.validate()
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput("the engine does not take these sampling settings", detail=str(error)) from error
    return chosen


def _limit(chosen: Any, sampling: Sampling, most: int, ends: Collection[int]) -> None:
    """When the answer ends."""
    chosen.apply_chat_template = False
    stops = set(ends) | set(sampling.stop_token_ids)
    chosen.max_new_tokens = most
    chosen.min_new_tokens = sampling.min_tokens if stops else 0
    chosen.ignore_eos = sampling.ignore_eos
    # Without any, the library would take its own idea of the model's end, which may be no token at all.
    chosen.stop_token_ids = stops or {NEVER}
    chosen.eos_token_id = min(ends or stops or {NEVER})


def _draw(chosen: Any, sampling: Sampling) -> None:
    """Tokens are drawn at random."""
    chosen.do_sample = True
    chosen.temperature = sampling.temperature
    chosen.rng_seed = secrets.randbelow(SEEDS) if sampling.seed is None else sampling.seed % SEEDS
    if sampling.top_p is not None:
        chosen.top_p = sampling.top_p
    if sampling.min_p:
        chosen.min_p = min(sampling.min_p, MOST)
    if sampling.top_k:
        chosen.top_k = sampling.top_k


def constrain(genai: Any, chosen: Any, grammar: str) -> None:
    """The answer follows a grammar. Raises `BadInput` for a model that cannot end one."""
    if chosen.eos_token_id == NEVER:
        raise BadInput("the model has no token that ends an answer, so its answers cannot follow a schema")
    chosen.structured_output_config = genai.StructuredOutputConfig(grammar=grammar)


def speculate(chosen: Any, model: LanguageModel, ngram: int) -> None:
    """The sequence is guessed ahead: by a draft model, or by looking into its own text."""
    chosen.num_assistant_tokens = model.draft_tokens
    if model.speculative == LOOKUP:
        chosen.max_ngram_size = ngram


def part(genai: Any) -> Any:
    """The config of a part of a prompt: computed for the cache; its one token is not read."""
    chosen = genai.GenerationConfig()
    chosen.apply_chat_template = False
    chosen.max_new_tokens = 1
    chosen.ignore_eos = True
    return chosen
