"""Reviews of an outdoor shop's products, generated, with what their writers thought."""

from __future__ import annotations

import random

from bench.text import words

LABELS = ("complaint", "praise")

_GOOD = ("great", "comfortable", "sturdy", "worth every cent", "better than expected", "easy to use", "warm", "light")
_BAD = ("broken", "too small", "flimsy", "a waste of money", "leaking", "hard to use", "noisy", "late")
_PARTS = ("fabric", "zip", "delivery", "size", "colour", "price", "strap", "pocket", "sole", "hood", "handle", "seam")
_OPENINGS = (
    "bought this",
    "my new",
    "second time i order this",
    "a gift for my father:",
    "used on a trip:",
    "just got this",
)


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """So many texts with their labels."""
    draw = random.Random(seed)
    return [_review(draw) for _ in range(count)]


def _review(draw: random.Random) -> tuple[str, str]:
    clauses = [_clause(draw) for _ in range(draw.choice((1, 3)))]
    text = f"{draw.choice(_OPENINGS)} {draw.choice(words.THINGS)}, {', '.join(text for text, _ in clauses)}"
    balance = sum(worth for _, worth in clauses)
    return text, LABELS[balance > 0]


def _clause(draw: random.Random) -> tuple[str, int]:
    """An opinion and its worth, which a doubt turns round."""
    worth = draw.choice((1, -1))
    opinion = draw.choice(_GOOD if worth > 0 else _BAD)
    doubt = draw.random() < 0.15
    return f"the {draw.choice(_PARTS)} is {'not ' if doubt else ''}{opinion}", -worth if doubt else worth
