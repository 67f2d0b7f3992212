"""Bodies of replies, cut anywhere, become messages."""

from __future__ import annotations

import random

import pytest

from penstock.core.errors import ProviderFailed
from penstock.runtimes.remote import framing, sse
from penstock.runtimes.remote.contract import Message
from penstock.runtimes.remote.framing import frames
from penstock.runtimes.remote.sse import SseFrames

STREAM = (
    b"\xef\xbb\xbf: a comment\n\ndata: one\n\nevent: named\ndata: two\nid: 7\nretry: 3\n\ndata:three\ndata: lines\n\n"
    b'data: {"text": "gr\xc3\xbc\xc3\x9fe"}\n\n\n\nevent: nothing\n\ndata\n\ndata: [DONE]\n\n'
)
EXPECTED = [
    Message(b"one"),
    Message(b"two", "named"),
    Message(b"three\nlines"),
    Message('{"text": "grüße"}'.encode()),
    Message(b""),
    Message(b"[DONE]"),
]


def read(pieces: list[bytes]) -> list[Message]:
    cutter = SseFrames()
    return [message for piece in pieces for message in cutter.feed(piece)] + cutter.end()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_server_sent_events_cut_anywhere(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    assert read([stream]) == EXPECTED
    assert read([stream[at : at + 1] for at in range(len(stream))]) == EXPECTED
    for at in range(len(stream)):
        assert read([stream[:at], stream[at:]]) == EXPECTED, at


def test_server_sent_events_cut_at_random() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        stream = STREAM.replace(b"\n", rng.choice([b"\n", b"\r\n", b"\r"]))
        places = sorted(rng.sample(range(1, len(stream)), rng.randrange(1, 12)))
        pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
        assert read(pieces) == EXPECTED, seed


def test_an_event_goes_out_as_soon_as_it_is_whole() -> None:
    cutter = SseFrames()
    assert cutter.feed(b"data: one\r") == []
    assert cutter.feed(b"\r") == [Message(b"one")]
    assert cutter.feed(b"data: two\n\ndata: th") == [Message(b"two")]


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"data: half", []),
        (b"data: whole\n", [Message(b"whole")]),
        (b"data: [DONE]", [Message(b"[DONE]")]),
        (b"", []),
        (b": comment\n", []),
    ],
)
def test_the_end_of_a_stream(rest: bytes, expected: list[Message]) -> None:
    assert read([b"data: one\n\n", rest]) == [Message(b"one"), *expected]


def test_lines() -> None:
    cutter = frames("ndjson")
    assert cutter.feed(b'{"a": 1}\n\n{"b"') == [Message(b'{"a": 1}')]
    assert cutter.feed(b": 2}\r\n{}") == [Message(b'{"b": 2}\r')]
    assert cutter.end() == [Message(b"{}")]
    assert cutter.end() == []


def test_a_document_is_one_message() -> None:
    cutter = frames("json")
    assert cutter.feed(b'{"a":') == cutter.feed(b"1}") == []
    assert cutter.end() == [Message(b'{"a":1}')]


def test_what_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 1000)
    monkeypatch.setattr(framing, "MAX_LINE", 1000)
    monkeypatch.setattr(framing, "MAX_DOCUMENT", 1000)
    for kind in ("sse", "ndjson", "json"):
        cutter = frames(kind)  # type: ignore[arg-type]
        assert cutter.feed(b"data:" * 100) == []
        with pytest.raises(ProviderFailed, match="longer than 1000 bytes"):
            cutter.feed(b"data:" * 200)
