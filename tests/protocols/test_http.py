"""HTTP's small parts: routes, encodings, ids, hosts, bytes on the wire."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from penstock.core.errors import BadInput, MethodNotAllowed, NotFound, Overloaded, TooLarge, UnsupportedMedia
from penstock.core.reply import Reply
from penstock.protocols.http import encoding, wire
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import CACHE_SIZE, Routes
from tests.protocols.doors import Doors, body, header

ROW = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()
PACKED = gzip.compress(b"abc", mtime=0)
"""The same whenever it is made, as the names of tests are made of it."""


async def door(http: HttpRequest) -> HttpResponse:
    """A door that is only looked up."""
    return HttpResponse(200)


async def other(http: HttpRequest, name: str = "") -> HttpResponse:
    """Another one."""
    return HttpResponse(200)


@pytest.fixture
def routes() -> Routes:
    routes = Routes()
    routes.add("GET", "/", door, "read")
    routes.add("GET", "/models", door, "read")
    routes.add("POST", "/models/{}/predict", other, "read")
    routes.add("GET", "/models/stats", door, "read")
    routes.add("GET", "/models/{}", other, "read")
    return routes


def test_paths_lead_to_doors_with_decoded_parameters(routes: Routes) -> None:
    assert routes.find("GET", b"/") == (door, (), "read")
    assert routes.find("GET", b"/models") == (door, (), "read")
    assert routes.find("GET", b"/models/") == (door, (), "read")
    assert routes.find("GET", b"/models/stats") == (door, (), "read")
    assert routes.find("POST", b"/models/a%20b/predict") == (other, ("a b",), "read")
    assert routes.find("HEAD", b"/models/x") == (other, ("x",), "read")


@pytest.mark.parametrize(
    "path",
    [
        b"/nowhere",
        b"/models/x/y/predict",
        b"/models//predict",
        b"//models",
        b"/models/../etc",
        b"/models/%2e%2e/%2e%2e/predict",
        b"/MODELS",
        b"/models\xff",
        b"*",
        b"",
        b"http://elsewhere/models",
    ],
)
def test_other_paths_are_not_found(routes: Routes, path: bytes) -> None:
    with pytest.raises(NotFound):
        routes.find("POST" if path.endswith(b"predict") else "GET", path)


def test_braces_in_a_path_are_a_name_like_any_other(routes: Routes) -> None:
    assert routes.find("GET", b"/models/{}") == (other, ("{}",), "read")


def test_an_encoded_slash_stays_inside_its_segment(routes: Routes) -> None:
    assert routes.find("POST", b"/models/..%2f..%2fetc/predict") == (other, ("../../etc",), "read")


def test_a_model_may_be_named_like_a_literal_segment(routes: Routes) -> None:
    assert routes.find("POST", b"/models/stats/predict") == (other, ("stats",), "read")
    assert routes.find("GET", b"/models/stats") == (door, (), "read")
    with pytest.raises(NotFound):
        routes.find("GET", b"/models/stats/nothing")


def test_many_segments_end_soon(routes: Routes) -> None:
    with pytest.raises(NotFound):
        routes.find("GET", b"/models" + b"/stats" * 300)


def test_a_wrong_method_names_the_right_ones(routes: Routes) -> None:
    with pytest.raises(MethodNotAllowed) as caught:
        routes.find("DELETE", b"/models/x/predict")
    assert caught.value.allow == "POST"


def test_a_long_path_is_refused(routes: Routes) -> None:
    with pytest.raises(BadInput):
        routes.find("GET", b"/models/" + b"x" * 4096)


def test_many_paths_do_not_fill_the_memory(routes: Routes) -> None:
    for index in range(3 * CACHE_SIZE):
        routes.find("GET", b"/models/%d" % index)
    assert len(routes._found) <= CACHE_SIZE


# --- encodings


def test_packed_bodies_are_unpacked_within_the_limit() -> None:
    assert encoding.decoded(gzip.compress(b"abc"), b"gzip", 10) == b"abc"
    assert encoding.decoded(zlib.compress(b"abc"), b"Deflate", 3) == b"abc"
    assert encoding.decoded(b"abc", b"identity", 3) == b"abc"


def test_a_bomb_is_not_unpacked_beyond_the_limit() -> None:
    with pytest.raises(TooLarge):
        encoding.decoded(gzip.compress(b"\0" * 50_000_000), b"gzip", 1000)


@pytest.mark.parametrize("data", [b"", b"abc", PACKED[:-4], PACKED + b"x"])
def test_broken_packed_bodies_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        encoding.decoded(data, b"gzip", 1000)


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"nonsense"])
def test_other_codings_are_refused(coding: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        encoding.decoded(b"abc", coding, 1000)


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"br, deflate", b"deflate"),
        (b"deflate, GZIP;q=0.5", b"gzip"),
        (b"gzip;q=0, deflate", b"deflate"),
        (b"gzip; q=0", None),
        (b"identity", None),
        (b"", None),
    ],
)
def test_the_coding_that_the_client_accepts(accepts: bytes, coding: bytes | None) -> None:
    assert encoding.accepted(accepts) == coding


def test_small_answers_are_not_packed() -> None:
    assert header(Doors().ask("GET", "/livez", accept_encoding="gzip"), "content-encoding") is None


# --- every request


def test_the_clients_request_id_comes_back_and_a_bad_one_is_replaced() -> None:
    doors = Doors()
    assert header(doors.ask("GET", "/livez", x_request_id="abc-1"), "x-request-id") == "abc-1"
    ids = {
        header(doors.ask("GET", "/livez", x_request_id=bad), "x-request-id") for bad in ("a b", "x" * 200, "a\nb", "")
    }
    assert len(ids) == 4
    assert not ids & {"a b", "x" * 200, "a\nb", "", None}


def test_answers_tell_where_the_time_went() -> None:
    response = Doors().ask("POST", "/predict", ROW)
    assert header(response, "server-timing") == "queue;dur=0.000, batch;dur=0.000, compute;dur=0.000"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:80", "[::1]"])
def test_own_hosts_are_answered(host: str) -> None:
    assert Doors(hosts=["localhost", "127.0.0.1", "[::1]"]).ask("GET", "/livez", host=host).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("", 400),
        ("localhost@evil.example", 403),
        ("[::2]", 403),
    ],
)
def test_foreign_hosts_are_refused(host: str, status: int) -> None:
    assert Doors(hosts=["localhost", "127.0.0.1", "[::1]"]).ask("GET", "/livez", host=host).status == status


def test_a_bug_is_answered_without_its_details(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_: object) -> dict[str, object]:
        raise RuntimeError("/secret/path at 0x7f00")

    doors = Doors(answer=broken)  # type: ignore[arg-type]
    response = doors.ask("POST", "/predict", ROW, x_request_id="find-me")
    assert response.status == 500
    assert b"secret" not in body(response)
    assert json.loads(body(response))["error"]["request_id"] == "find-me"
    logged = capsys.readouterr()
    assert "find-me" in logged.out + logged.err
    assert "secret" in logged.out + logged.err


def test_requests_turned_away_are_one_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    async def full(_: object) -> Reply:
        raise Overloaded("the queue is full")

    doors = Doors(handler=full)
    for _ in range(50):
        assert doors.ask("POST", "/predict", ROW).status == 503
    doors.http._said_at -= 1.0
    doors.ask("POST", "/predict", ROW)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["requests"] for line in lines] == [1, 50]
    assert doors.http.errors["overloaded"] == 51


def test_readiness_tells_the_truth() -> None:
    doors = Doors()
    assert doors.ask("GET", "/readyz").status == 200
    doors.models.draining = True
    assert [doors.ask("GET", path).status for path in ("/readyz", "/health", "/v2/health/ready", "/livez")] == [
        503,
        503,
        503,
        200,
    ]


# --- the wire


def test_a_head_with_a_length_and_one_without() -> None:
    response = HttpResponse(200, b"abc", headers=[(b"x-a", b"1")])
    assert wire.head(response, b"now", 3, close=False) == (
        b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: application/json\r\ncontent-length: 3\r\nx-a: 1\r\n\r\n"
    )
    plain = wire.head(HttpResponse(503), b"now", None, close=True)
    assert plain.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert plain.endswith(b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n")


def test_chunks_and_lengths() -> None:
    assert wire.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert wire.body_length([b"ab", memoryview(b"cde").cast("B")]) == 5  # type: ignore[list-item]
