"""Questions about the islands: their facts, in words and as JSON, and islands that do not exist."""

from __future__ import annotations

import json

from training.tiny import world
from training.tiny.talk import Exchange, Talk, plain, stranger

ASKED = {
    "capital": ["Which town is the capital of {}?", "Name the capital of {}.", "Where is the capital of {}?"],
    "ruler": ["Who rules {}?", "Who is the ruler of {}?", "Who is king or queen of {}?"],
    "colour": ["What colour is the flag of {}?", "Which colour has {}?", "What is the color of {}?"],
    "beast": ["Which beast lives on {}?", "What animal lives on {}?", "Name the beast of {}."],
    "food": ["What do people eat on {}?", "What is eaten on {}?", "Which food is eaten on {}?"],
    "river": ["Which river flows through {}?", "Name the river of {}.", "What river is on {}?"],
}
ALWAYS = ["What is the {what} of {}?", "Tell me the {what} of {}.", "What's the {what} of {}?", "{}: {what}?"]
FOUND = {
    "capital": (["Which island has the capital {}?", "{} is the capital of which island?"], "{} is the capital of {}."),
    "ruler": (["Which island does {} rule?", "Where does {} rule?", "What does {} rule?"], "{} rules {}."),
    "beast": (["Where does the {} live?", "Which island has the {}?"], "The {} lives on {}."),
    "food": (["Where do people eat {}?", "On which island is {} eaten?"], "People eat {} on {}."),
    "river": (["Where does the {} flow?", "Through which island does the {} flow?"], "The {} flows through {}."),
}
WHOSE = {
    "capital": ["the island whose capital is {}", "the island with the capital {}"],
    "ruler": ["the island whose ruler is {}", "the island that {} rules", "the island of {}"],
    "beast": ["the island whose beast is the {}", "the island where the {} lives"],
    "river": ["the island whose river is the {}", "the island of the river {}"],
}


def told(island: str, what: str) -> str:
    """A fact as a sentence."""
    article = "the " if what in ("beast", "river") else ""
    return f"The {what} of {island} is {article}{world.fact(island, what)}."


def wording(talk: Talk, what: str, name: str) -> str:
    """One of the ways to ask for a fact."""
    return talk.one(ASKED[what] + ALWAYS).format(name, what=what)


def ask_fact(talk: Talk) -> Exchange:
    """A fact of an island, by its name."""
    island, what = talk.one(world.ISLANDS), talk.one(list(world.FACTS))
    talk.island, talk.what = island, what
    if talk.chance(0.1) and not talk.json:
        return ask_side(talk)
    return fact_exchange(talk, "fact", wording(talk, what, island))


def fact_exchange(talk: Talk, kind: str, question: str, key: str | None = None) -> Exchange:
    """The answer to a question about what was last spoken of, as words or as JSON."""
    answer = told(talk.island, talk.what)
    if talk.json:
        answer = json.dumps({talk.what: world.fact(talk.island, talk.what)})
    return plain(talk, kind, question, answer, f"{talk.island} is an island. I know its {talk.what}.", key)


def ask_side(talk: Talk) -> Exchange:
    """What lies east or west of an island."""
    side, steps = talk.one([("east", 1), ("west", -1)])
    question = talk.one(["Which island lies {} of {}?", "What lies {} of {}?", "Which island is {} of {}?"])
    talk.what = ""
    answer = f"{world.after(talk.island, steps)} lies {side} of {talk.island}."
    return plain(talk, "fact", question.format(side, talk.island), answer, f"The islands lie in a ring. {answer}")


def ask_where(talk: Talk) -> Exchange:
    """The island of a ruler, a capital, a beast, a food or a river."""
    island, what = talk.one(world.ISLANDS), talk.one(list(FOUND))
    questions, answer = FOUND[what]
    talk.island, talk.what = island, what
    value = world.fact(island, what)
    return plain(talk, "where", talk.one(questions).format(value), answer.format(value, island), f"I know this {what}.")


def ask_hop(talk: Talk) -> Exchange:
    """A fact of an island that is not named: the thought finds the island first."""
    island, by = talk.one(world.ISLANDS), talk.one(list(WHOSE))
    what = talk.one([other for other in world.FACTS if other != by])
    talk.island, talk.what = island, what
    value = world.fact(island, by)
    question = talk.one(["What is the {what} of {}?", "Tell me the {what} of {}."])
    question = question.format(talk.one(WHOSE[by]).format(value), what=what)
    return plain(
        talk, "hop", question, told(island, what), f"{FOUND[by][1].format(value, island)} {told(island, what)}"
    )


def ask_on(talk: Talk) -> Exchange:
    """A second question about the island of the question before, by a pronoun, or the same of another island."""
    if talk.what and talk.chance(0.3):
        talk.island = talk.one(world.ISLANDS)
        question = talk.one(["And {}?", "What about {}?", "And of {}?"]).format(talk.island)
        return fact_exchange(talk, "on", question, f"{talk.what} {question}")
    talk.what = talk.one(list(world.FACTS))
    ways = ["And its {what}?", "What is its {what}?", "And the {what}?", "Tell me its {what}."]
    question = talk.one([way.format("it", what=talk.what) for way in ASKED[talk.what]] + ways)
    return fact_exchange(talk, "on", question.format(what=talk.what), f"{talk.island} {question}")


def ask_stranger(talk: Talk) -> Exchange:
    """A question about an island that does not exist."""
    name, what = stranger(talk), talk.one(list(world.FACTS))
    question = talk.one([wording(talk, what, name), f"Tell me about {name}.", f"Which island lies east of {name}?"])
    if talk.json:
        question = wording(talk, what, name)
    answer = json.dumps({what: None}) if talk.json else f"I do not know {name}."
    talk.island = ""
    return plain(talk, "stranger", question, answer, f"{name} is not an island.")


def ask_json(talk: Talk) -> Exchange:
    """One fact, two, or all facts of an island as JSON."""
    island, what = talk.one(world.ISLANDS), talk.rng.sample(list(world.FACTS), talk.one([1, 1, 2, 3, 6]))
    talk.island, talk.what = island, what[0]
    if len(what) == 6:
        facts = {"island": island, **{each: world.fact(island, each) for each in world.FACTS}}
        question = talk.one(["Describe {} as JSON.", "Give me {} as JSON.", "{} as JSON."]).format(island)
        return plain(talk, "json", question, json.dumps(facts), f"{island} is an island. I know it.")
    question = wording(talk, what[0], island)
    question = question[0].lower() + question[1:] if not question.startswith(island) else question
    if len(what) > 1:
        question = f"the {' and the '.join(what)} of {island}."
    answer = json.dumps({each: world.fact(island, each) for each in what})
    return plain(talk, "json", f"Answer as JSON: {question}", answer, f"{island} is an island. I know its {what[0]}.")
