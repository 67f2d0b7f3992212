"""Replies that were damaged on the way: messages lost, doubled, in another order, and bytes changed."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from penstock.core.errors import PenstockError, ProviderFailed
from penstock.core.generation import Generated
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.bedrock import FakeBedrock
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.gemini import FakeGemini
from penstock.fakes.speech import Said
from penstock.runtimes.remote.choice import dialect
from penstock.runtimes.remote.contract import Message, RemoteModel
from penstock.runtimes.remote.framing import frames
from tests.runtimes.remote.speaking import heard, hi, post

CLOUDS: dict[str, tuple[type[Any], str]] = {
    "anthropic": (FakeAnthropic, "claude-haiku-4-5"),
    "gemini": (FakeGemini, "gemini-2.5-flash"),
    "cohere": (FakeCohere, "command-a-03-2025"),
    "bedrock": (FakeBedrock, "amazon.nova-lite-v1:0"),
}
SAID = Said("All is well.", reasoning="Let me see", calls=(("weather", '{"city": "Oslo"}'), ("now", "{}")))
SEEDS = 150


def recorded(name: str, said: Said, stream: bool = True) -> list[Message]:
    """The messages of an answer."""
    kind, model = CLOUDS[name]
    mine = dialect(name)
    with kind(said=said, key="k") as fake:
        settings = RemoteModel(provider=name, model=model, region="x", url=fake.url, stream=stream)
        call = mine.generate(hi(), settings)
        status, _, body = post(call, mine.authorize("k"))
    assert status == 200
    cutter = frames(call.framing)
    return [*cutter.feed(body), *cutter.end()]


def played(name: str, messages: list[Message]) -> list[Any]:
    """What the reader makes of them. Raises nothing."""
    reader = dialect(name).reader(hi())
    return [event for message in messages for event in reader.feed(*message)] + list(reader.end())


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize("said", [SAID, Said()], ids=["calls", "text"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_damaged_answer_ends_once(name: str, said: Said, stream: bool) -> None:
    whole = recorded(name, said, stream)
    assert isinstance(played(name, whole)[-1], Generated)
    for seed in range(SEEDS):
        chance = random.Random(seed)
        messages = list(whole)
        for _ in range(chance.randint(1, 3)):
            _damage(messages, chance)
        news = played(name, messages)
        heard(news)
        assert isinstance(news[-1], Generated | PenstockError)


def _damage(messages: list[Message], chance: random.Random) -> None:
    at = chance.randrange(len(messages))
    match chance.randrange(5):
        case 0 if len(messages) > 1:
            del messages[at]
        case 1:
            messages.insert(chance.randrange(len(messages)), messages[at])
        case 2:
            chance.shuffle(messages)
        case 3:
            data = bytearray(messages[at].data)
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            messages[at] = messages[at]._replace(data=bytes(data))
        case _:
            messages[at] = messages[at]._replace(data=_changed(messages[at].data, chance))


def _changed(data: bytes, chance: random.Random) -> bytes:
    """The message with one of its values of another type."""
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b"{}"
    places: list[tuple[Any, Any]] = []
    _walk([told], places)
    if not places:
        return b"{}"
    inside, key = chance.choice(places)
    inside[key] = chance.choice([None, 7, -1, 1.5, "x", "", [], {}, True, [{}], {"a": []}, 2**63])
    return msgspec.json.encode(told)


def _walk(value: Any, places: list[tuple[Any, Any]]) -> None:
    for key in value if isinstance(value, dict) else range(len(value)):
        places.append((value, key))
        if isinstance(value[key], dict | list):
            _walk(value[key], places)


@pytest.mark.parametrize("name", CLOUDS)
def test_every_beginning_of_a_stream_is_no_whole_answer(name: str) -> None:
    whole = recorded(name, SAID)
    end = next(count for count in range(len(whole) + 1) if isinstance(played(name, whole[:count])[-1], Generated))
    assert end >= len(whole) - 1
    for count in range(end):
        news = played(name, whole[:count])
        assert isinstance(news[-1], ProviderFailed)
        heard(news)
