"""What requests for the next turn of a conversation share, as chats and as responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from penstock.protocols.generation.limits import TopLogprobs
from penstock.protocols.openai.sampling import SAMPLING_FIELDS, SamplingFields

DIALOGUE_FIELDS: Mapping[str, str] = {
    **SAMPLING_FIELDS,
    "parallel_tool_calls": "false for one tool call at most",
    "safety_identifier": "a text",
    "prompt_cache_key": "a text; what prompts have in common is found without it",
    "prompt_cache_retention": "a text; what prompts have in common is kept while there is room",
}
NOT_OFFERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "store": ((False,), "nothing is stored here; send store: false, or leave it out"),
    "service_tier": (("auto", "default"), "there is one tier; send priority (1 to 9) for urgent requests"),
    "moderation": ((), "nothing is moderated here"),
    "prompt_cache_options": ((), "what prompts have in common is always kept while there is room"),
}
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class DialogueFields(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """What every such request may say; see `DIALOGUE_FIELDS`, and `NOT_OFFERED` for the rest."""

    top_logprobs: TopLogprobs | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    store: Any = None
    service_tier: Any = None
    moderation: Any = None
    prompt_cache_options: Any = None


def thinks(effort: Effort | None) -> bool | None:
    """Whether to reason first; None: as the model does by itself. How much is a hint that models here have no use
    for."""
    return None if effort is None else effort != "none"
