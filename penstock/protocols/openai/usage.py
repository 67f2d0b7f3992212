"""What an answer took, and its log-probabilities, as OpenAI's API writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock.core.generation import TokenLogprob, Usage
from penstock.protocols.generation.logprobs import shown


def usage_of(usage: Usage) -> dict[str, Any]:
    """The `usage` of chats and completions."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": usage.accepted_tokens,
            "rejected_prediction_tokens": usage.draft_tokens - usage.accepted_tokens,
        },
    }


def responses_usage_of(usage: Usage) -> dict[str, Any]:
    """The `usage` of the responses API."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def logprobs_of(tokens: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Tokens with their log-probabilities and alternatives; `bytes` are the token's own, whole characters or not."""
    return [
        {**_token(each.token, each.raw, each.logprob), "top_logprobs": [_token(*other) for other in each.top]}
        for each in tokens
    ]


def _token(token: str, raw: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": shown(logprob), "bytes": list(raw)}
