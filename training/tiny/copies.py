"""Texts to give back as they are, numbers in their order, and things to count."""

from __future__ import annotations

import re
from collections.abc import Callable

from training.tiny import world
from training.tiny.facts import told
from training.tiny.talk import KNOWN, Exchange, Talk, plain, stranger

REPEAT = ["Repeat: {}", "Repeat this: {}", "Repeat after me: {}", "Copy: {}", "Say: {}", "Repeat this text.\n{}"]


def ask_copy(talk: Talk) -> Exchange:
    """A text to give back as it is."""
    size = max(1, round(2 ** talk.rng.uniform(0, 6.6)))
    text = talk.one([words, sentences, sentences, oddities])(talk, size)
    return plain(talk, "copy", talk.one(REPEAT).format(text), text, "I must repeat the text.")


def words(talk: Talk, size: int) -> str:
    """So many random words of the world and of English."""
    pools = [world.WORDS, world.WORDS, sorted(KNOWN), world.BEASTS + world.FOODS + world.COLOURS + world.THINGS]
    chosen = [talk.one(talk.one(pools)) for _ in range(size)]
    return " ".join(chosen) + talk.one(["", "", "."])


def sentences(talk: Talk, size: int) -> str:
    """Sentences of random words, about the world, or against it, of about so many words in all."""
    parts: list[str] = []
    while sum(part.count(" ") + 1 for part in parts) < size:
        kind = talk.rng.random()
        if kind < 0.2:
            parts.append(told(talk.one(world.ISLANDS), talk.one(list(world.FACTS))))
        elif kind < 0.65:
            parts.append(TALE_PART.sub(lambda part: talk.one(world.POOLS[part[1]]), talk.one(world.TALES)))
        else:
            some = words(talk, min(size, talk.rng.randint(3, 9))).rstrip(".")
            parts.append(some[0].upper() + some[1:] + talk.one([".", ".", "!", "?"]))
    return " ".join(parts)


TALE_PART = re.compile("<([a-z]+)>")


def oddities(talk: Talk, size: int) -> str:
    """Words among numbers, unknown names, accents, emoji, marks and line ends."""
    odd: list[Callable[[], str]] = [
        lambda: str(talk.one(world.ACCENTED)),
        lambda: str(talk.one(world.EMOJI)),
        lambda: str(talk.rng.randint(0, 9999)),
        lambda: stranger(talk),
        lambda: talk.one(world.WORDS) + talk.one([",", ";", ":", "-", "!", "...", "\n"]),
    ]
    parts = [talk.one(odd)() if talk.chance(0.4) else talk.one(world.WORDS) for _ in range(min(size, 40))]
    return " ".join(parts).strip()


def ask_count(talk: Talk) -> Exchange:
    """Numbers from one to another, up or down."""
    first = talk.one([1, 1, talk.rng.randint(0, 90)])
    last = min(100, first + talk.rng.randint(1, talk.one([8, 15, 30, 60, 100])))
    numbers = list(range(first, last + 1))
    ways = ["Count from {} to {}.", "Count from {} to {}.", "Count {} to {}.", "Please count from {} to {}."]
    if talk.chance(0.15):
        numbers, ways = numbers[::-1], ["Count down from {} to {}."]
    elif first == 1:
        ways.append("Count to {1}.")
    answer = ", ".join(map(str, numbers)) + "."
    return plain(talk, "count", talk.one(ways).format(numbers[0], numbers[-1]), answer, "I must count.")


def ask_many(talk: Talk) -> Exchange:
    """How many things stand there."""
    thing, number = talk.one(world.THINGS), talk.rng.randint(1, 10)
    between = talk.one([" ", " ", ", "])
    question = f"How many {thing}s: {between.join([thing] * number)}?"
    return plain(talk, "many", question, str(number), f"I must count each {thing}.")
