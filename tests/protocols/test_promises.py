"""What is long is not packed unasked, trailers stay trailers, refusals have their door's shape."""

from __future__ import annotations

import json

import pytest

from penstock.core.errors import HeadTooLarge, TooLarge
from penstock.protocols.http.app import wanted_coding
from penstock.protocols.http.errors import error_response
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import JSON, OCTETS, HttpResponse
from penstock.protocols.http.reader import KnownHeads, RequestReader


@pytest.mark.parametrize(
    ("accept", "kind", "size", "packed"),
    [
        (b"gzip, deflate", JSON, 10_000, True),
        (b"gzip, deflate", JSON, 1_000_000, False),
        (b"gzip, deflate", OCTETS, 10_000, False),
        (b"gzip", OCTETS, 1_000_000, True),
        (b"gzip", JSON, 1_000_000, True),
        (b"gzip", JSON, 100, False),
    ],
)
def test_packing_is_for_those_who_ask(accept: bytes, kind: bytes, size: int, packed: bool) -> None:
    for body in (b"a" * size, [b"a" * 10, b"a" * (size - 10)]):
        assert (wanted_coding(accept, HttpResponse(200, body, kind)) is not None) is packed


def chunked(trailer: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + trailer + b"\r\n"


def test_trailers_never_become_headers() -> None:
    reader = RequestReader(HttpLimits(), KnownHeads())
    reader.feed(chunked(b"Host: localhost\r\nX-Request-Id: mine\r\n"))
    [(request, _)] = reader.ready
    assert request.headers == {b"transfer-encoding": b"chunked"}


def test_trailers_are_bounded() -> None:
    reader = RequestReader(HttpLimits(head=1000), KnownHeads())
    with pytest.raises(HeadTooLarge):
        reader.feed(chunked(b"A: b\r\n" * 10_000))


def test_a_large_chunked_body_may_have_a_trailer() -> None:
    reader = RequestReader(HttpLimits(head=1000), KnownHeads())
    head, body = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"a" * 100_000
    reader.feed(head + b"%x\r\n%b\r\n0\r\nA: b\r\n\r\n" % (len(body), body))
    assert len(reader.ready) == 1


@pytest.mark.parametrize("start", [b"1;a=", b"1\r\na\r\n0\r\nA: "], ids=["extension", "trailer"])
def test_what_surrounds_chunks_may_not_be_endless(start: bytes) -> None:
    reader = RequestReader(HttpLimits(head=1000), KnownHeads())
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
    for _ in range(9):
        reader.feed(b"x" * 100)
    with pytest.raises(HeadTooLarge):
        reader.feed(b"x" * 200)


def test_small_chunks_that_come_one_by_one_are_fine() -> None:
    reader = RequestReader(HttpLimits(head=1000), KnownHeads())
    reader.feed(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        reader.feed(b"0001\r\n")
        reader.feed(b"a\r\n")
    reader.feed(b"0\r\n\r\n")
    assert len(reader.ready) == 1


def test_http_1_0_is_answered_and_closed() -> None:
    reader = RequestReader(HttpLimits(), KnownHeads())
    reader.feed(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert [keep for _, keep in reader.ready] == [False]


def test_errors_below_v2_are_a_plain_string_there() -> None:
    for path, shape in ((b"/v2/models/m/infer", str), (b"/models/m/predict", dict)):
        answer = json.loads(error_response(TooLarge("too much"), "1", path).body)  # type: ignore[arg-type]
        assert isinstance(answer["error"], shape)
