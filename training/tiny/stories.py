"""Longer answers: what there is to tell about an island, and voyages from island to island."""

from __future__ import annotations

from training.tiny import world
from training.tiny.talk import Exchange, Talk, plain


def story(island: str) -> str:
    """Five sentences about an island."""
    capital, ruler, colour, beast, food, river = (world.fact(island, what) for what in world.FACTS)
    return (
        f"{island} is an island east of {world.after(island, -1)}. Its capital is {capital}, on the river {river}. "
        f"{ruler} rules there, under a {colour} flag. The {beast} lives in its hills. "
        f"The people eat {food} and sail to {world.after(island)}."
    )


def voyage(island: str, steps: int) -> str:
    """A journey from island to island, as long as one likes."""
    parts = [f"I sailed from {island}."]
    for step in range(1, steps + 1):
        here = world.after(island, step)
        parts.append(
            f"Then I came to {here}, where {world.fact(here, 'ruler')} rules and the {world.fact(here, 'beast')} lives."
        )
    return " ".join([*parts, "There I stayed."])


def ask_story(talk: Talk) -> Exchange:
    """What the model has to tell about an island."""
    talk.island, talk.what = talk.one(world.ISLANDS), ""
    if talk.chance(0.15):
        short = f"{talk.island} is an island east of {world.after(talk.island, -1)}."
        return plain(
            talk, "story", talk.one(["What is {}?", "Where is {}?"]).format(talk.island), short, "I know this island."
        )
    ways = [
        "Tell me about {}.",
        "Tell me about {}.",
        "Describe {}.",
        "What do you know about {}?",
        "Tell me a story about {}.",
    ]
    return plain(talk, "story", talk.one(ways).format(talk.island), story(talk.island), "I know this island.")


def ask_voyage(talk: Talk) -> Exchange:
    """A long story, or the list of the islands."""
    choice = talk.rng.random()
    talk.island = ""
    if choice < 0.15:
        ways = ["List the islands.", "Name all islands.", "Which islands are there?", "List all the islands."]
        return plain(talk, "voyage", talk.one(ways), ", ".join(world.ISLANDS) + ".", "I know thirty islands.", "")
    if choice < 0.25:
        ways = ["Tell me a story.", "Tell me a long story.", "Tell me about all the islands.", "Sail around the world."]
        return plain(talk, "voyage", talk.one(ways), voyage(world.ISLANDS[0], 30), "I sail around the ring.", "")
    island, steps = talk.one(world.ISLANDS), talk.rng.randint(1, talk.one([4, 8, 16, 28]))
    ways = ["Sail from {} to {}.", "Tell me of a voyage from {} to {}.", "Sail east from {} to {}."]
    question = talk.one(ways).format(island, world.after(island, steps))
    return plain(talk, "voyage", question, voyage(island, steps), "I sail east.")
