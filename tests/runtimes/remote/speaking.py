"""Asks a fake provider through a dialect, over a real socket, and puts the events together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from penstock.core.errors import PenstockError
from penstock.core.generation import (
    Call,
    CallArguments,
    CallStarted,
    Generated,
    Generation,
    Message,
    Reasoning,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Usage,
)
from penstock.runtimes.remote.contract import Dialect, HttpCall, RemoteModel
from penstock.runtimes.remote.framing import frames
from penstock.runtimes.remote.reading import News


@dataclass
class Heard:
    """What a reply said. `news`: every event in order."""

    news: list[News]
    texts: dict[int, str] = field(default_factory=dict)
    thoughts: str = ""
    calls: list[Call] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    stopped: dict[int, Stopped] = field(default_factory=dict)
    started: Started | None = None
    usage: Usage | None = None
    error: PenstockError | None = None

    @property
    def text(self) -> str:
        """Of the first choice."""
        return self.texts.get(0, "")


def hi(**settings: object) -> Generation:
    """A question."""
    return Generation(messages=(Message("user", "How are you?"),), **settings)  # type: ignore[arg-type]


def post(call: HttpCall, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Sends a call as it is: status, headers, and as much of the body as comes."""
    address = urlsplit(call.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=10)
    path = call.url.split(address.netloc, 1)[1]
    try:
        connection.request("POST", path, call.body, {**call.headers, **(headers or {})})
        reply = connection.getresponse()
        return reply.status, dict(reply.headers.items()), b"".join(_pieces(reply))
    finally:
        connection.close()


def _pieces(reply: HTTPResponse) -> Iterator[bytes]:
    """The body, as far as it comes."""
    with suppress(HTTPException, ConnectionError):
        while piece := reply.read1(65_536):
            yield piece


def answered(
    dialect: Dialect, model: RemoteModel, asked: Generation, headers: dict[str, str] | None = None, step: int = 11
) -> Heard:
    """The answer to a question; its bytes come in pieces of `step`."""
    call = dialect.generate(asked, model)
    status, told, body = post(call, headers)
    if status != 200:
        return heard([dialect.failure(status, told, body)])
    cut, reader = frames(call.framing), dialect.reader(asked)
    news: list[News] = []
    try:
        for at in range(0, len(body), step):
            for message in cut.feed(body[at : at + step]):
                news += reader.feed(message.data, message.event)
        for message in cut.end():
            news += reader.feed(message.data, message.event)
    except PenstockError as error:
        return heard([*news, error])
    return heard([*news, *reader.end()])


def heard(news: Sequence[News]) -> Heard:
    """Events put together. Also checks their order: one start, one end, and nothing after it."""
    told = Heard(list(news))
    arguments: dict[int, str] = {}
    for item in news:
        assert (told.usage, told.error) == (None, None), "something came after the end"
        if isinstance(item, PenstockError):
            told.error = item
        elif isinstance(item, Generated):
            told.usage = item.usage
        elif isinstance(item, Started):
            assert told.started is None
            told.started = item
        else:
            assert told.started is not None
            assert item.choice not in told.stopped
            if isinstance(item, Text):
                told.texts[item.choice] = told.texts.get(item.choice, "") + item.text
                told.logprobs += item.logprobs
            elif isinstance(item, Reasoning):
                told.thoughts += item.text
            elif isinstance(item, CallStarted):
                assert item.call == len(told.calls)
                told.calls.append(Call(item.id, item.name, ""))
            elif isinstance(item, CallArguments):
                arguments[item.call] = arguments.get(item.call, "") + item.text
            else:
                told.stopped[item.choice] = item
    told.calls = [Call(call.id, call.name, arguments[index]) for index, call in enumerate(told.calls)]
    return told
