"""What is long is not packed unasked, trailers stay trailers, refusals have their door's shape."""

from __future__ import annotations

import json

import pytest

from penstock.core.errors import HeadTooLarge, TooLarge
from penstock.protocols.http.app import compress, error_response
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
        response = HttpResponse(200, body, kind)
        compress(accept, response)
        assert any(name == b"content-encoding" for name, _ in response.headers or ()) is packed


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


def test_errors_below_v2_are_a_plain_string_there() -> None:
    for path, shape in ((b"/v2/models/m/infer", str), (b"/models/m/predict", dict)):
        answer = json.loads(error_response(TooLarge("too much"), "1", path).body)  # type: ignore[arg-type]
        assert isinstance(answer["error"], shape)
