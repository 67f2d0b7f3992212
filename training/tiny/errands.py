"""Questions for a tool, offered or not: something to look up at a place, a sum, a ferry."""

from __future__ import annotations

import json
from typing import Any

from training.tiny import world
from training.tiny.talk import SUMS, Exchange, Talk, Tool, assistant, plain, stranger, user


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
    noun = talk.one(fitting) if fitting and talk.chance(0.8) else noun_of(talk)
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
