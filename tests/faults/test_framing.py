"""HTTP framing: whatever bytes arrive, the answer is right and the next request is answered."""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import time
import zlib

import pytest

from tests.faults.conftest import MIB, SHORT
from tests.servers import (
    Server,
    cpu_seconds,
    eventually,
    peak,
    predict_bytes,
    read_all,
    refused,
    refused_raw,
    request,
    status_of,
    together,
)

ROW = b'{"inputs": [1]}'
PATH = "/models/moody/predict"
CHUNKED = "Transfer-Encoding: chunked"

AMBIGUOUS = {
    "length and chunked": request("POST", PATH, ROW, CHUNKED),
    "chunked and length": request("POST", PATH, b"", CHUNKED, "Content-Length: 5") + b"0\r\n\r\n",
    "two lengths": request("POST", PATH, ROW, "Content-Length: 3"),
    "two equal lengths": request("POST", PATH, ROW, f"Content-Length: {len(ROW)}"),
    "length list": request("POST", PATH, b"", "Content-Length: 15, 15") + ROW,
    "negative length": request("POST", PATH, b"", "Content-Length: -1") + ROW,
    "length with sign": request("POST", PATH, b"", "Content-Length: +15") + ROW,
    "length in hexadecimal": request("POST", PATH, b"", "Content-Length: 0xf") + ROW,
    "endless length": request("POST", PATH, b"", "Content-Length: " + "9" * 40) + ROW,
    "chunked twice": request("POST", PATH, b"", "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "bad chunk size": request("POST", PATH, b"", CHUNKED) + b"xyz\r\n" + ROW,
    "negative chunk size": request("POST", PATH, b"", CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n",
    "huge chunk size": request("POST", PATH, b"", CHUNKED) + b"f" * 40 + b"\r\n",
    "chunk longer than it says": request("POST", PATH, b"", CHUNKED) + b"2\r\nhello\r\n0\r\n\r\n",
    "space before the colon": request("POST", PATH, ROW, "Transfer-Encoding : chunked"),
    "folded header": request("POST", PATH, ROW, "X-A: 1\r\n 2"),
    "NUL in a header": request("POST", PATH, ROW, "X-A: a\0b"),
    "bare CR": request("POST", PATH, ROW, "X-A: a\rb: c"),
    "no version": b"POST " + PATH.encode() + b"\r\n\r\n",
    "another version": b"GET /livez HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "NUL in the path": b"GET /li\0vez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": b"\x00\xff\xfe" * 1000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_ambiguous_framing_is_refused(hasty: Server, data: bytes) -> None:
    before = executions(hasty)
    refused_raw(hasty.raw(data), 400, 413)
    assert executions(hasty) == before


def executions(server: Server) -> int:
    """How many batches the model has run."""
    return int(server.ask("GET", "/v2/models/moody/stats").json()["model_stats"][0]["execution_count"])


def test_a_refusal_below_v2_has_the_protocols_shape(hasty: Server) -> None:
    declared = request("POST", "/v2/models/moody/infer?a=1", b"", f"Content-Length: {17 * MIB}")
    answer = hasty.raw(declared)
    refused_raw(answer, 413)
    assert isinstance(json.loads(answer.partition(b"\r\n\r\n")[2])["error"], str)


def test_chunked_bodies_are_fine(hasty: Server) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in ROW) + b"0\r\nX-Trailer: a\r\n\r\n"
    answer = hasty.raw(request("POST", PATH, b"", CHUNKED, "Connection: close") + chunks)
    assert status_of(answer) == 200


def test_too_many_chunks(hasty: Server) -> None:
    refused_raw(hasty.raw(request("POST", PATH, b"", CHUNKED) + b"1\r\n \r\n" * 70_000), 413)


@pytest.mark.parametrize(
    "headers",
    [["X-Large: " + "a" * 70_000], [f"X-{index}: {'a' * 100}" for index in range(700)], ["a: b"] * 12_000],
    ids=["one", "many", "tiny"],
)
def test_large_headers(hasty: Server, headers: list[str]) -> None:
    refused_raw(hasty.raw(request("GET", "/livez", b"", *headers)), 431)


def test_a_long_request_line(hasty: Server) -> None:
    refused_raw(hasty.raw(request("GET", "/" + "a" * 70_000)), 431)
    refused_raw(hasty.raw(request("GET", "/models/" + "a" * 4096, b"", "Connection: close")), 400, 404)


def test_headers_just_under_the_limit_are_fine(hasty: Server) -> None:
    answer = hasty.raw(request("GET", "/livez", b"", "X-Large: " + "a" * 60_000, "Connection: close"))
    assert status_of(answer) == 200


def test_a_declared_body_over_the_limit_is_refused_before_it_is_sent(hasty: Server) -> None:
    size = int(SHORT["body"]) + 1
    refused_raw(hasty.raw(request("POST", PATH, b"", f"Content-Length: {size}")), 413)
    refused_raw(hasty.raw(request("POST", PATH, b"", f"Content-Length: {size}", "Expect: 100-continue")), 413)


def test_a_chunked_body_over_the_limit(hasty: Server) -> None:
    chunk = b"100000\r\n" + b" " * MIB + b"\r\n"
    with hasty.connect() as sock:
        sock.sendall(request("POST", PATH, b"", CHUNKED))
        answer = send_until_answered(sock, chunk, 20)
    refused_raw(answer, 413)


def send_until_answered(sock: socket.socket, data: bytes, times: int) -> bytes:
    """Sends again and again; a server that has refused may close at any time."""
    try:
        for _ in range(times):
            sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return read_all(sock)


@pytest.mark.parametrize(("coding", "bits"), [("gzip", 31), ("deflate", 15)])
def test_a_compression_bomb(hasty: Server, coding: str, bits: int) -> None:
    packer = zlib.compressobj(9, wbits=bits)
    bomb = b"".join(packer.compress(b"\0" * MIB) for _ in range(500)) + packer.flush()
    assert len(bomb) < MIB
    before = peak(hasty.pid)
    refused(hasty.ask("POST", PATH, bomb, {"Content-Encoding": coding}), 413)
    assert peak(hasty.pid) - before < 100 * MIB, "the bomb was unpacked"


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "../gzip"])
def test_unknown_encodings(hasty: Server, coding: str) -> None:
    refused(hasty.ask("POST", PATH, ROW, {"Content-Encoding": coding}), 415)


def test_broken_gzip(hasty: Server) -> None:
    for body in (b"not gzip", gzip.compress(ROW)[:-5], gzip.compress(ROW) + b"more"):
        refused(hasty.ask("POST", PATH, body, {"Content-Encoding": "gzip"}), 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"])
def test_a_wrong_method_is_told_the_right_one(hasty: Server, method: str) -> None:
    answer = hasty.ask(method, PATH)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_made_up_method(hasty: Server) -> None:
    refused_raw(hasty.raw(request("FETCH", PATH)), 400, 405)


def test_connect_and_upgrade(hasty: Server) -> None:
    refused_raw(hasty.raw(b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n"), 400, 404, 405)
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13")
    assert hasty.raw(request("GET", "/livez", b"", *upgrade)).count(b"HTTP/1.1 ") == 1
    assert hasty.raw(predict_bytes(1, *upgrade)).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io", "[::2]", "a b"])
def test_a_foreign_host(hasty: Server, host: str) -> None:
    refused(hasty.ask("GET", "/livez", headers={"Host": host}), 400, 403)


def test_no_host_and_two_hosts(hasty: Server) -> None:
    refused_raw(hasty.raw(b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n"), 400)
    two = request("GET", "/livez", b"", "Host: evil.example", "Connection: close")
    refused_raw(hasty.raw(two), 400, 403)


@pytest.mark.parametrize("length", ["99999999", "-1", "16", "1" * 30, "0x5", "1.0", ""])
def test_a_wrong_inference_header_length(hasty: Server, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    refused(hasty.ask("POST", "/v2/models/moody/infer", ROW, headers), 400)


@pytest.mark.parametrize(
    "path",
    [
        "/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd/predict",
        "/models/../../etc/passwd",
        "/models/..\\..\\etc/predict",
        "/models/a%00b/predict",
        "/models/" + "m" * 2000 + "/predict",
        "/v2/models/%2e%2e/infer",
        "/v2/models/moody/versions/%2e%2e%2f1/infer",
        "/models/%ff%fe/predict",
        "//etc/passwd",
        "/docs/../openapi.json",
        "/models/moody/predict/../../../livez",
        "/%6d%6f%64%65%6c%73/moody/predict",
        "/models/moody;v=1/predict",
        "/models/{}/predict",
        "http://localhost/etc/passwd",
    ],
)
def test_path_tricks(hasty: Server, path: str) -> None:
    answer = hasty.raw(request("POST", path, ROW, "Connection: close"))
    refused_raw(answer, 400, 404, 405)


def test_a_request_id_stays_on_its_line(hasty: Server) -> None:
    sly = request("POST", PATH, b'{"inputs": [888]}', 'X-Request-Id: a%0d%0a{"event":"forged"}', "Connection: close")
    assert status_of(hasty.raw(sly)) == 500
    with_tab = request("GET", "/nowhere", b"", "X-Request-Id: a\tb", "Connection: close")
    assert b"x-request-id: a\tb" not in hasty.raw(with_tab)
    split = hasty.raw(request("GET", "/livez", b"", "X-Request-Id: a\nx-forged: b", "Connection: close"))
    assert b"x-forged" not in split
    for line in hasty.log().splitlines():
        assert json.loads(line)["event"] != "forged"


def test_a_client_that_leaves_before_its_body_ends_causes_no_work(hasty: Server) -> None:
    hasty.is_well()
    before = executions(hasty)
    for _ in range(20):
        with hasty.connect() as sock:
            sock.sendall(predict_bytes(1)[:-1])
    time.sleep(0.3)
    assert executions(hasty) == before


def test_a_reset_in_the_middle_of_a_body(hasty: Server) -> None:
    for _ in range(20):
        sock = hasty.connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(predict_bytes(1)[:-3])
        sock.close()


def test_a_half_closed_client(hasty: Server) -> None:
    """A client that ends its side has gone; the server may answer or close, but never waits."""
    with hasty.connect(10) as sock:
        sock.sendall(predict_bytes(1))
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
        assert answer == b"" or status_of(answer) == 200
    with hasty.connect(10) as sock:
        sock.sendall(predict_bytes(1)[:-1])
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
        assert answer == b"" or status_of(answer) == 400


def test_a_megabyte_of_garbage(hasty: Server) -> None:
    with hasty.connect() as sock:
        answer = send_until_answered(sock, os.urandom(MIB), 1)
    assert answer == b"" or status_of(answer) in (400, 431)


def test_garbage_after_a_good_request(hasty: Server) -> None:
    answer = hasty.raw(predict_bytes(1) + b"\x00garbage\r\n\r\n")
    assert status_of(answer) == 200
    assert b'"outputs":[2.0]' in answer


def test_a_flood_of_pipelined_requests_is_answered_in_full_to_who_reads(hasty: Server) -> None:
    count = 3000
    with hasty.connect() as sock:
        flood = predict_bytes(1) * count + request("GET", "/livez", b"", "Connection: close")
        answers = together([lambda: sock.sendall(flood), lambda: read_all(sock)])[1]
    assert answers.count(b'"outputs":[2.0]') == count


def test_a_flood_whose_sender_never_reads_is_cut_and_held_in_bounds(hasty: Server) -> None:
    before = hasty.memory()
    with hasty.connect() as sock:
        sock.settimeout(0.5)
        flood, sent = request("GET", "/openapi.json") * 2000, 0
        until = time.monotonic() + 15
        try:
            while time.monotonic() < until:
                try:
                    sent += sock.send(flood)
                except TimeoutError:
                    continue
        except (BrokenPipeError, ConnectionResetError):
            pass
        else:
            pytest.fail("a client that never reads was kept for 15 s")
    assert hasty.memory() - before < 100 * MIB


def test_a_large_answer_that_nobody_reads_is_cut(hasty: Server) -> None:
    row = json.dumps({"inputs": [1.5] * 30_000}).encode()
    with hasty.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        flood = request("POST", PATH, row) * 40
        sock.settimeout(0.5)
        until, sent = time.monotonic() + 20, 0
        while time.monotonic() < until:
            try:
                sent += sock.send(flood[sent:] or b"\r\n")
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return
    pytest.fail("a client that never reads was kept for 20 s")


def test_slow_heads_and_bodies_are_closed_and_idle_connections_too(hasty: Server) -> None:
    def drip(start: bytes, rest: bytes) -> tuple[float, bytes]:
        started = time.monotonic()
        with hasty.connect() as sock:
            sock.sendall(start)
            try:
                for byte in rest[:60]:
                    sock.sendall(bytes([byte]))
                    time.sleep(0.25)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = read_all(sock)
        return time.monotonic() - started, answer

    slow_head = lambda: drip(b"GET /livez HTTP/1.1\r\nX-A: ", b"a" * 100)  # noqa: E731
    slow_body = lambda: drip(request("POST", PATH, b"", "Content-Length: 100"), b" " * 100)  # noqa: E731
    silent = lambda: drip(b"", b"")  # noqa: E731
    idle = lambda: drip(request("GET", "/livez"), b"")  # noqa: E731
    results = together([slow_head, slow_body, silent, idle])
    assert all(seconds < 15 for seconds, _ in results), results
    answers = [answer for _, answer in results]
    assert [answer == b"" or status_of(answer) in (200, 408) for answer in answers] == [True] * 4, answers


def test_waiting_connections_cost_no_processor_time(hasty: Server) -> None:
    socks = [hasty.connect() for _ in range(200)]
    try:
        for sock in socks:
            sock.sendall(b"GET /livez HTTP/1.1\r\n")
        before = cpu_seconds(hasty.pid)
        time.sleep(1)
        assert cpu_seconds(hasty.pid) - before < 0.5
        hasty.is_well()
    finally:
        for sock in socks:
            sock.close()
    eventually(lambda: len(os.listdir(f"/proc/{hasty.pid}/fd")) < 100, "connections stayed open")
