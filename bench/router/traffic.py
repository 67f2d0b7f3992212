"""A day of synthetic traffic: labelled questions, asked by tenants of different size, alone and in conversations."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path
from typing import NamedTuple

from bench.text.zipf import arrivals

TENANTS = {"shop": 0.5, "support": 0.25, "research": 0.15, "intern": 0.1}
"""Who asks, and the share of the requests."""
HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 12, 11, 10, 11, 12, 11, 10, 9, 7, 6, 6, 5, 4, 3)
"""How busy each hour of the day is."""
FOLLOWS = 0.25
"""The share of requests that go on with a conversation."""


class Question(NamedTuple):
    """A question, and whether the small and the large model answer it correctly (0 or 1)."""

    subject: str
    text: str
    small: float
    large: float


class Asked(NamedTuple):
    """One request of the day. `earlier`: what was asked before in its conversation."""

    hour: int
    tenant: str
    session: str
    question: Question
    earlier: tuple[str, ...] = ()


def questions(path: Path) -> list[Question]:
    """A CSV file (also .gz) with the columns subject, prompt, small_correct, large_correct."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        return [
            Question(row["subject"], row["prompt"], float(row["small_correct"]), float(row["large_correct"]))
            for row in csv.DictReader(file)
        ]


def halves(asked: list[Question], seed: int) -> tuple[list[Question], list[Question]]:
    """Questions to learn from, and others, of other subjects, to ask."""
    rng = random.Random(seed)
    subjects = sorted({question.subject for question in asked})
    rng.shuffle(subjects)
    learned = set(subjects[::2])
    return [q for q in asked if q.subject in learned], [q for q in asked if q.subject not in learned]


def day(known: list[Question], count: int, repeats: float, seed: int) -> list[Asked]:
    """So many requests in the order in which they come; `repeats`: the share that was asked before, the popular ones
    most often."""
    rng = random.Random(seed)
    order = arrivals(count, repeats, seed)
    if max(order) >= len(known):
        raise ValueError(f"{max(order) + 1} different questions are asked, and only {len(known)} are known")
    drawn = rng.sample(known, max(order) + 1)
    hours = sorted(rng.choices(range(24), HOURS, k=count))
    made: list[Asked] = []
    for place, hour in zip(order, hours, strict=True):
        made.append(_asked(rng, made, hour, drawn[place]))
    return made


def _asked(rng: random.Random, before: list[Asked], hour: int, question: Question) -> Asked:
    if before and rng.random() < FOLLOWS:
        last = before[-min(len(before), rng.randint(1, 20))]
        earlier = (*last.earlier, last.question.text)[-3:]
        return Asked(hour, last.tenant, last.session, question, earlier)
    tenant = rng.choices(list(TENANTS), list(TENANTS.values()))[0]
    return Asked(hour, tenant, f"{tenant}-{len(before)}", question)
