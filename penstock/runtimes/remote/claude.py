"""What Claude's models of different ages understand, wherever they are served."""

from __future__ import annotations

import re
from typing import Any

from penstock.core.generation import Generation
from penstock.runtimes.remote.asking import not_offered

LEAST_BUDGET = 1024
"""Tokens of thoughts that are asked for at least, where they have a budget."""
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:-(\d{1,2}))?(?![\d])")
_ADAPTIVE = (4, 6)
"""From this version on models choose themselves how much to think, and later ones take no budget."""


def thinking_of(asked: Generation, name: str, most: int) -> dict[str, Any] | None:
    """What is said about thinking, where the request says whether. `most`: tokens of the answer. Raises `NotOffered`
    where they are too few.

    While the results of tools are answered, older models are asked for none: they would have to go on from thoughts
    that Anthropic has signed, and no client of another protocol gives these back.
    """
    if asked.think is None:
        return None
    if not asked.think:
        return {"type": "disabled"}
    if is_adaptive(name):
        return {"type": "adaptive", "display": "summarized"}
    if asked.messages and asked.messages[-1].role == "tool":
        return None
    if most <= LEAST_BUDGET:
        raise not_offered("max_tokens", f"the model thinks only where max_tokens is over {LEAST_BUDGET}, got {most}")
    return {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, most // 2)}


def is_adaptive(name: str) -> bool:
    """Whether a model chooses itself how much to think; so do those whose names tell no version."""
    version = version_of(name)
    return version is None or version >= _ADAPTIVE


def version_of(name: str) -> tuple[int, int] | None:
    """The version in a model's name, such as (4, 5) of claude-haiku-4-5-20251001; None where it tells none."""
    found = _VERSION.search(name)
    return None if found is None else (int(found[1]), int(found[2] or 0))
