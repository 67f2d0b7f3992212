"""Heads that were read once are not parsed again; that must never change what is read."""

from __future__ import annotations

import random

import pytest

from penstock.core.errors import BadInput
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.reader import KnownHeads, RequestReader

POST = b"POST /predict?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
EXPECTS = b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"


def read(heads: KnownHeads, *pieces: bytes) -> list[tuple[str, bytes, bytes, dict[bytes, bytes], bytes, bool]]:
    reader = RequestReader(HttpLimits(), heads)
    for piece in pieces:
        reader.feed(piece)
    return [(r.method, r.path, r.query, r.headers, bytes(r.body), keep) for r, keep in reader.ready]


@pytest.mark.parametrize("request_bytes", [POST, GET])
def test_a_known_head_reads_as_the_parser_did(request_bytes: bytes) -> None:
    heads = KnownHeads()
    first = read(heads, request_bytes)
    assert len(heads.by_bytes) == 1
    assert read(heads, request_bytes) == first


@pytest.mark.parametrize("request_bytes", [LAST, CHUNKED, EXPECTS, b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"])
def test_heads_that_ask_for_more_are_always_parsed(request_bytes: bytes) -> None:
    heads = KnownHeads()
    first = read(heads, request_bytes)
    assert heads.by_bytes == {}
    assert read(heads, request_bytes) == first


def test_the_body_is_the_new_one() -> None:
    heads = KnownHeads()
    read(heads, POST)
    assert read(heads, POST[:-5] + b"world")[0][4] == b"world"


def test_any_cut_reads_the_same() -> None:
    rng, stream = random.Random(5), (POST + GET + CHUNKED + POST) * 3
    expected = read(KnownHeads(), stream)
    assert len(expected) == 12
    heads = KnownHeads()
    for _ in range(300):
        cuts = sorted(rng.sample(range(len(stream)), rng.randint(1, 9)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert read(heads, *pieces) == expected
    for piece_by_piece in ([POST, GET, CHUNKED, POST] * 3,):
        assert read(heads, *piece_by_piece) == expected


def test_a_known_head_after_half_a_request_is_not_a_request() -> None:
    heads = KnownHeads()
    read(heads, POST)
    reader = RequestReader(HttpLimits(), heads)
    reader.feed(b"PO")
    with pytest.raises(BadInput):
        reader.feed(POST)
    assert not reader.ready


def test_a_known_head_inside_a_body_is_a_body() -> None:
    heads = KnownHeads()
    read(heads, GET)
    outer = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(GET)
    requests = read(heads, outer, GET, POST)
    assert [(path, body) for _, path, _, _, body, _ in requests] == [(b"/p", GET), (b"/predict", b"hello")]


def test_a_short_or_long_body_is_left_to_the_parser() -> None:
    heads = KnownHeads()
    read(heads, POST)
    reader = RequestReader(HttpLimits(), heads)
    reader.feed(POST[:-2])
    assert not reader.ready
    assert reader.in_body
    reader.feed(b"lo" + GET)
    assert [request.path for request, _ in reader.ready] == [b"/predict", b"/livez"]


def test_memory_is_bounded() -> None:
    heads = KnownHeads()
    for number in range(KnownHeads.CAPACITY * 3):
        read(heads, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-N: %d\r\n\r\n" % number)
        assert len(heads.by_bytes) <= KnownHeads.CAPACITY
    long = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-N: " + b"a" * KnownHeads.MAX_BYTES + b"\r\n\r\n"
    read(heads, long)
    assert long not in heads.by_bytes


def test_an_offer_of_another_protocol_is_ignored() -> None:
    offer = POST.replace(b"Host: x\r\n", b"Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n")
    heads = KnownHeads()
    [(method, path, _, headers, body, keep)] = read(heads, offer)
    assert (method, path, body, keep) == ("POST", b"/predict", b"hello", True)
    assert b"upgrade" not in headers
    assert [r[4] for r in read(heads, offer + POST)] == [b"hello", b"hello"]
