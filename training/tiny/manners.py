"""Greetings, the name of the model, and everything it knows nothing of."""

from __future__ import annotations

from training.tiny import world
from training.tiny.talk import Exchange, Talk, plain

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
