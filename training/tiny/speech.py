"""The kinds of questions the model learns to answer, and how often each is asked."""

from __future__ import annotations

from collections.abc import Callable

from training.tiny import copies, errands, facts, manners, stories
from training.tiny.talk import Exchange, Talk

KINDS: dict[str, tuple[Callable[[Talk], Exchange], float]] = {
    "fact": (facts.ask_fact, 12),
    "where": (facts.ask_where, 7),
    "hop": (facts.ask_hop, 5),
    "on": (facts.ask_on, 9),
    "stranger": (facts.ask_stranger, 6),
    "copy": (copies.ask_copy, 24),
    "count": (copies.ask_count, 10),
    "many": (copies.ask_many, 8),
    "tool": (errands.ask_tool, 4),
    "json": (facts.ask_json, 6),
    "story": (stories.ask_story, 4),
    "voyage": (stories.ask_voyage, 5),
    "manners": (manners.ask_manners, 3),
    "name": (manners.ask_name, 3),
    "beyond": (manners.ask_beyond, 4),
}
