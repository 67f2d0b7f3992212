"""Sampling settings as vLLM takes them, and its log-probabilities as every engine gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.core.generation import Sampling
from penstock.runtimes.generation.contract import Choice

_LOWEST = -9999.0


def parameters(library: Any, sampling: Sampling, room: int, eos: tuple[int, ...], grammar: str) -> Any:
    """vLLM's own settings of one sequence: token ids alone, and only the new ones."""
    kinds = library.sampling_params
    ends = sampling.stop_token_ids if sampling.ignore_eos else (*eos, *sampling.stop_token_ids)
    return library.SamplingParams(
        max_tokens=room if sampling.max_tokens is None else sampling.max_tokens,
        min_tokens=sampling.min_tokens,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=sampling.seed,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        repetition_penalty=sampling.repetition_penalty or 1.0,
        stop_token_ids=list(ends),
        ignore_eos=sampling.ignore_eos,
        logprobs=sampling.logprobs,
        logit_bias=dict(sampling.logit_bias) or None,
        structured_outputs=kinds.StructuredOutputsParams(grammar=grammar) if grammar else None,
        detokenize=False,
        output_kind=kinds.RequestOutputKind.DELTA,
    )


def choices(tokens: Sequence[int], logprobs: Any, top: int | None) -> list[Choice]:
    """Log-probabilities by token; the `top` likeliest by rank."""
    if top is None or logprobs is None:
        return []
    return [_choice(token, entries, top) for token, entries in zip(tokens, logprobs, strict=True)]


def _choice(token: int, entries: Any, top: int) -> Choice:
    ranked = sorted(entries.items(), key=lambda entry: entry[1].rank)
    shown = tuple((id, max(value.logprob, _LOWEST)) for id, value in ranked if value.rank <= top)
    return Choice(max(entries[token].logprob, _LOWEST), shown)
