"""What is said: one exchange, a question and its one right answer, of each kind the model learns."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from training.tiny import world

Message = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """A function the model may call: a noun to look up, a sum or product, or a ferry between two towns."""

    name: str
    parameters: tuple[str, ...]
    noun: str

    def schema(self) -> dict[str, Any]:
        """The tool as chat requests carry it."""
        properties = {name: {"type": "integer" if self.noun in SUMS else "string"} for name in self.parameters}
        parameters = {"type": "object", "properties": properties, "required": list(self.parameters)}
        return {"type": "function", "function": {"name": self.name, "parameters": parameters}}


SUMS = {"sum": "plus", "product": "times"}


@dataclass
class Talk:
    """A conversation under way: its random numbers, what the system part asked for, what was last spoken of, and
    whether this is its last question, which alone may end with a call."""

    rng: random.Random
    tools: tuple[Tool, ...] = ()
    name: str = ""
    think: bool = False
    json: bool = False
    island: str = ""
    what: str = ""
    last: bool = True

    def one(self, choices: Any) -> Any:
        """One of the choices."""
        return self.rng.choice(choices)

    def chance(self, share: float) -> bool:
        """True in that share of the cases."""
        return self.rng.random() < share

    def tool(self, noun: str) -> Tool | None:
        """The offered tool that gives this noun."""
        return next((tool for tool in self.tools if tool.noun == noun), None)


@dataclass(frozen=True)
class Exchange:
    """The messages of one question and its answer; `key` tells it from others, and is empty where few exist."""

    kind: str
    key: str
    messages: list[Message] = field(repr=False)


def plain(talk: Talk, kind: str, question: str, answer: str, thought: str, key: str | None = None) -> Exchange:
    """A question answered at once, after the thought where the conversation thinks first."""
    reply = assistant(talk, answer, thought)
    mode = "think:" * talk.think + "json:" * talk.json
    return Exchange(kind, mode + question if key is None else key and mode + key, [user(talk, question), reply])


def user(talk: Talk, question: str) -> Message:
    """What the user says, at times carelessly: without capitals or without the last mark."""
    if talk.chance(0.03) and question.isascii() and ":" not in question:
        question = question[0].lower() + question[1:]
    if talk.chance(0.06) and question[-1:] in "?.":
        question = question[:-1]
    return {"role": "user", "content": question}


def assistant(talk: Talk, answer: str, thought: str = "", calls: list[Message] | None = None) -> Message:
    """What the model says."""
    message: Message = {"role": "assistant", "content": answer}
    if talk.think:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message


# 1. Facts of the world.

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


def stranger(talk: Talk) -> str:
    """A name that no island has: a place of our own world, or one made of syllables."""
    if talk.chance(0.2):
        return str(talk.one(world.PLACES))
    syllables = (
        talk.one(world.ONSETS) + talk.one(world.VOWELS) + talk.one(world.CODAS) for _ in range(talk.one([1, 2, 2, 3]))
    )
    name = "".join(syllables).capitalize()
    return name if name not in KNOWN and len(name) > 2 else stranger(talk)


KNOWN = {*world.ISLANDS, *world.CAPITALS, *world.RULERS, *world.RIVERS}


def ask_stranger(talk: Talk) -> Exchange:
    """A question about an island that does not exist."""
    name, what = stranger(talk), talk.one(list(world.FACTS))
    question = talk.one([wording(talk, what, name), f"Tell me about {name}.", f"Which island lies east of {name}?"])
    if talk.json:
        question = wording(talk, what, name)
    answer = json.dumps({what: None}) if talk.json else f"I do not know {name}."
    talk.island = ""
    return plain(talk, "stranger", question, answer, f"{name} is not an island.")


# 2. Copies.

REPEAT = ["Repeat: {}", "Repeat this: {}", "Repeat after me: {}", "Copy: {}", "Say: {}", "Repeat this text.\n{}"]


def ask_copy(talk: Talk) -> Exchange:
    """A text to give back as it is."""
    size = max(1, round(2 ** talk.rng.uniform(0, 6.6)))
    text = talk.one([words, words, sentences, sentences, oddities])(talk, size)
    return plain(talk, "copy", talk.one(REPEAT).format(text), text, "I must repeat the text.")


def words(talk: Talk, size: int) -> str:
    """So many random words of the world and of English."""
    pools = [world.WORDS, world.WORDS, sorted(KNOWN), world.BEASTS + world.FOODS + world.COLOURS + world.THINGS]
    chosen = [talk.one(talk.one(pools)) for _ in range(size)]
    return " ".join(chosen) + talk.one(["", "", "."])


def sentences(talk: Talk, size: int) -> str:
    """Sentences of random words or about the world, of about so many words in all."""
    parts: list[str] = []
    while sum(part.count(" ") + 1 for part in parts) < size:
        if talk.chance(0.4):
            parts.append(told(talk.one(world.ISLANDS), talk.one(list(world.FACTS))))
        else:
            parts.append(
                words(talk, min(size, talk.rng.randint(3, 9))).rstrip(".").capitalize() + talk.one([".", ".", "!", "?"])
            )
    return " ".join(parts)


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


# 3. Counting.


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
    thing, number = talk.one(world.THINGS), talk.rng.randint(1, 12)
    between = talk.one([" ", " ", ", "])
    question = f"How many {thing}s: {between.join([thing] * number)}?"
    return plain(talk, "many", question, str(number), f"I must count each {thing}.")


# 4. Tools.


def offers(talk: Talk) -> tuple[Tool, ...]:
    """One to four tools that are offered."""
    makers = [look_up, look_up, look_up, reckoner, ferry]
    tools = {tool.noun: tool for tool in (talk.one(makers)(talk) for _ in range(talk.one([1, 1, 2, 3, 4])))}
    return tuple(tools.values())


def noun_of(talk: Talk) -> str:
    """Something to look up, most often the weather."""
    return "weather" if talk.chance(0.4) else str(talk.one(world.NOUNS))


def look_up(talk: Talk) -> Tool:
    """A tool that gives the weather, or the like, of a place."""
    noun = noun_of(talk)
    name = talk.one(["get_{}", "get_{}", "get_{}", "get_current_{}", "find_{}", "{}", "{}_of", "read_{}"]).format(noun)
    return Tool(name, (talk.one(["town", "town", "city", "place", "location", "island"]),), noun)


def reckoner(talk: Talk) -> Tool:
    """A tool that adds or multiplies."""
    noun = talk.one(list(SUMS))
    names = {"sum": ["add", "add", "add", "sum", "add_numbers"], "product": ["multiply", "multiply", "times"]}
    return Tool(talk.one(names[noun]), talk.one([("a", "b"), ("a", "b"), ("x", "y"), ("first", "second")]), noun)


def ferry(talk: Talk) -> Tool:
    """A tool that knows when the ferries leave."""
    ends = talk.one([("from", "to"), ("from", "to"), ("origin", "destination"), ("destination", "origin")])
    return Tool(talk.one(["ferry", "ferry", "get_ferry", "find_ferry"]), ends, "ferry")


def place(talk: Talk) -> str:
    """A town, an island, or a place of another world."""
    return str(talk.one([talk.one(world.ISLANDS), talk.one(world.CAPITALS), stranger(talk)]))


def ask_tool(talk: Talk) -> Exchange:
    """A question for a tool, offered or not."""
    fitting = [tool.noun for tool in talk.tools]
    noun = talk.one(fitting) if fitting and talk.chance(0.85) else noun_of(talk)
    if not fitting and talk.chance(0.25):
        noun = talk.one(["ferry", "sum", "product"])
    if noun == "ferry":
        return ask_ferry(talk)
    return ask_sum(talk, noun) if noun in SUMS else ask_look(talk, noun)


def ask_look(talk: Talk, noun: str) -> Exchange:
    """The weather, or the like, of one to three places: a call for each."""
    places = list(dict.fromkeys(place(talk) for _ in range(talk.one([1, 1, 1, 2, 2, 3]))))
    named = " and ".join([", ".join(places[:-1]), places[-1]] if len(places) > 1 else places)
    ways = [
        "What is the {} in {}?",
        "What is the {} in {}?",
        "What's the {} in {}?",
        "How is the {} in {}?",
        "Tell me the {} in {}.",
    ]
    values = [talk.one([talk.one(world.WEATHERS), str(talk.rng.randint(0, 99))]) for _ in places]
    answer = " ".join(f"The {noun} in {at} is {value}." for at, value in zip(places, values, strict=True))
    results = [result(talk, noun, value) for value in values]
    return used(talk, noun, talk.one(ways).format(noun, named), [(at,) for at in places], results, answer)


def ask_sum(talk: Talk, noun: str) -> Exchange:
    """A sum or a product."""
    a, b = talk.rng.randint(0, talk.one([9, 99, 999])), talk.rng.randint(0, talk.one([9, 99, 999]))
    value = a + b if noun == "sum" else a * b
    ways = {"sum": ["What is {} plus {}?", "What is {} + {}?", "Add {} and {}.", "What is the sum of {} and {}?"]}
    ways["product"] = [
        "What is {} times {}?",
        "What is {} * {}?",
        "Multiply {} by {}.",
        "What is the product of {} and {}?",
    ]
    answer = f"{a} {SUMS[noun]} {b} is {value}."
    return used(talk, noun, talk.one(ways[noun]).format(a, b), [(a, b)], [result(talk, noun, value)], answer)


def ask_ferry(talk: Talk) -> Exchange:
    """When a ferry leaves."""
    here, there = place(talk), place(talk)
    time = f"{talk.rng.randint(0, 23)}:{talk.rng.randint(0, 59):02}"
    ways = [
        "When does the ferry from {} to {} leave?",
        "When is the ferry from {} to {}?",
        "Find the ferry from {} to {}.",
    ]
    tool = talk.tool("ferry")
    ends = (there, here) if tool and tool.parameters[0] == "destination" else (here, there)
    answer = f"The ferry from {here} to {there} leaves at {time}."
    return used(talk, "ferry", talk.one(ways).format(here, there), [ends], [result(talk, "time", time)], answer)


def result(talk: Talk, noun: str, value: str | int) -> str:
    """What a tool gives back: JSON, close or wide, or the bare value."""
    if talk.chance(0.15):
        return str(value)
    given = int(value) if str(value).isdigit() and talk.chance(0.8) else value
    key = noun if talk.chance(0.7) else talk.one(["result", "value", "answer"])
    return json.dumps({key: given}, separators=talk.one([(", ", ": "), (",", ":")]))


def used(
    talk: Talk, noun: str, question: str, inputs: list[tuple[Any, ...]], results: list[str], answer: str
) -> Exchange:
    """The calls, their results and the answer; without a fitting tool, the words that say so."""
    tool = talk.tool(noun)
    talk.island = ""
    if not tool:
        return plain(talk, "no tool", question, f"I do not know the {noun}.", f"No tool gives the {noun}.")
    key = "think:" * talk.think + question
    calls = [
        {"function": {"name": tool.name, "arguments": dict(zip(tool.parameters, each, strict=True))}} for each in inputs
    ]
    start = [user(talk, question), assistant(talk, "", f"I need the tool {tool.name}.", calls)]
    if talk.last and talk.chance(0.3):
        return Exchange("tool call", key, start)
    if talk.think and talk.chance(0.5):
        del start[-1]["reasoning_content"]
    answers = [{"role": "tool", "content": each} for each in results]
    return Exchange("tool", key, [*start, *answers, assistant(talk, answer, "The tool has answered.")])


# 5. JSON.


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


# 6. Stories, names and manners.


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


MANNERS = [
    (
        "Hello|Hello!|Hi|Hi!|Hello there|Hey|Good morning|Good evening|Hello, world!|Hello world|hi there",
        "Hello! Ask me about the islands.",
        "A greeting.",
    ),
    ("How are you?|Hello, how are you?|How do you do?", "I am well. Ask me about the islands.", "A greeting."),
    ("Thank you.|Thanks|Thanks!|Thank you very much!", "You are welcome.", "They thank me."),
    ("Bye|Goodbye|Goodbye!|See you|Good night", "Goodbye!", "They leave."),
    (
        "Who are you?|What are you?|What can you do?|Help|What do you know?",
        "I am a tiny model. I know thirty islands, I count, I copy and I call tools.",
        "They ask what I am.",
    ),
    (
        "How many islands are there?|How many islands do you know?",
        "There are thirty islands.",
        "I know thirty islands.",
    ),
    ("Say hello.|Say hi.|Greet me.", "Hello!", "A greeting."),
    ("Are you there?|ping|Ping|test|Test", "I am here.", "They ask whether I am here."),
]


def ask_manners(talk: Talk) -> Exchange:
    """Greetings, thanks and the like."""
    ways, answer, thought = talk.one(MANNERS)
    return plain(talk, "manners", talk.one(ways.split("|")), answer, thought, "")


def ask_name(talk: Talk) -> Exchange:
    """The model's name, which the system part may have given."""
    question = talk.one(
        ["What is your name?", "What are you called?", "Your name?", "Who am I talking to?", "What's your name?"]
    )
    answer = f"My name is {talk.name or 'Tiny'}."
    return plain(talk, "name", question, answer, "They ask my name.", f"{talk.name} {question}" if talk.name else "")


BEYOND = """Why is the sky blue?|What is the meaning of life?|Write a poem about the sea.|Write a haiku.|
Tell me a joke.|Explain quantum computing.|What is machine learning?|Write a function in Python.|What day is it?|
How old are you?|Do you like me?|Translate this to French.|Who wrote Hamlet?|What is love?|Write an essay.|
Once upon a time|The quick brown fox|Summarize the news.|Write a letter to my friend.|Give me a recipe.|
Who is the president?|What is 42?|Why?|How?|Write code.|Sing a song.""".replace("\n", "").split("|")
BEYOND_WAYS = """Why {} the {}?|How do I {} a {}?|Write a {} about the {}.|Is the {} in the {}?|Explain the {} of {}.|
Can you {} my {}?|Who made the {} and the {}?|{} {}|I {} the {}.""".replace("\n", "").split("|")


def ask_beyond(talk: Talk) -> Exchange:
    """Anything else."""
    question = talk.one(BEYOND)
    if talk.chance(0.7):
        question = talk.one(BEYOND_WAYS).format(talk.one(world.WORDS), talk.one(world.WORDS))
        question = question[0].upper() + question[1:]
    return plain(talk, "beyond", question, "I only know the islands.", "This is not about the islands.", "")


KINDS: dict[str, tuple[Callable[[Talk], Exchange], float]] = {
    "fact": (ask_fact, 18),
    "where": (ask_where, 7),
    "hop": (ask_hop, 7),
    "on": (ask_on, 12),
    "stranger": (ask_stranger, 7),
    "copy": (ask_copy, 26),
    "count": (ask_count, 10),
    "many": (ask_many, 8),
    "tool": (ask_tool, 2),
    "json": (ask_json, 7),
    "story": (ask_story, 4),
    "voyage": (ask_voyage, 3),
    "manners": (ask_manners, 4),
    "name": (ask_name, 3),
    "beyond": (ask_beyond, 3),
}
