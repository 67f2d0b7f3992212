"""Whether a sequence can be computed at all: what every engine looks at before it takes one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from penstock.core.errors import BadInput, ContextExceeded
from penstock.core.generation import Sampling


def check(prompt: Sequence[int], sampling: Sampling, vocabulary: int, context: int) -> None:
    """Raises `BadInput` for an empty prompt and for token ids that are not among the `vocabulary`, `ContextExceeded`
    for a prompt and an answer that are longer than the context."""
    if not prompt:
        raise BadInput("the prompt is empty")
    _check_ids("the prompt", prompt, vocabulary)
    _check_ids("logit_bias", sampling.logit_bias, vocabulary)
    asked = sampling.max_tokens or 1
    if len(prompt) + asked > context:
        raise ContextExceeded(
            f"the prompt's {len(prompt)} tokens and the {asked} asked for are more than the context of {context} tokens"
        )


def _check_ids(place: str, ids: Collection[int], vocabulary: int) -> None:
    if ids and (min(ids) < 0 or max(ids) >= vocabulary):
        raise BadInput(f"{place} has token ids that the model has not; they go from 0 to {vocabulary - 1}")
