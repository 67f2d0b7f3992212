"""Wrong and hostile requests for generated text on a real server, and clients that leave: refused, said why, freed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import MIB, SHORT
from tests.servers import Answer, Server, configured, eventually, read_all, refused, refused_raw, request, together

TINY = Path(__file__).parents[2] / "penstock" / "cli" / "demo" / "tiny.gguf"
CHAT, COMPLETE, RESPOND = "/v1/chat/completions", "/v1/completions", "/v1/responses"
MESSAGES, OLLAMA = "/v1/messages", "/api/chat"
HI = [{"role": "user", "content": "Hello"}]
CONTEXT = 2048
FOREVER = {"ignore_eos": True, "max_tokens": 1900}
"""The longest answer that there is."""


@pytest.fixture(scope="module")
def talker() -> Iterator[Server]:
    """The tiny model; every test harms it in turn, none may break it."""
    with configured({"tiny": {"source": str(TINY)}}, http={"limits": SHORT}) as server:
        is_well(server)
        workers, memory = server.workers(), server.memory()
        yield server
        assert server.workers() == workers, "a worker was restarted"
        assert server.memory() < memory * 1.05 + 40 * MIB, "memory did not come back"


@pytest.fixture(autouse=True)
def each_ends_well(talker: Server) -> Iterator[None]:
    """Each case ends with a normal answer to a normal request, and nothing runs on."""
    yield
    eventually(lambda: working(talker) == 0, "something runs on", 10)
    is_well(talker)


def is_well(server: Server) -> None:
    answer = chat(server, messages=[{"role": "user", "content": "Repeat: salt"}], max_tokens=20)
    assert answer.status == 200, answer.body[:500]
    assert answer.json()["choices"][0]["message"]["content"]
    assert server.ask("GET", "/livez").status == 200


def chat(server: Server, **rest: Any) -> Answer:
    return server.ask("POST", CHAT, {"model": "tiny", "messages": HI, "temperature": 0, **rest}, timeout=60)


def bodies(text: str, max_tokens: int = 20) -> dict[str, dict[str, Any]]:
    """The same question at all doors."""
    said = [{"role": "user", "content": text}]
    return {
        CHAT: {"model": "tiny", "messages": said, "max_completion_tokens": max_tokens},
        COMPLETE: {"model": "tiny", "prompt": text, "max_tokens": max_tokens},
        RESPOND: {"model": "tiny", "input": text, "max_output_tokens": max_tokens},
        MESSAGES: {"model": "tiny", "messages": said, "max_tokens": max_tokens},
        OLLAMA: {"model": "tiny", "messages": said, "options": {"num_predict": max_tokens}},
    }


def message_of(answer: Answer) -> str:
    error = answer.json()["error"]
    return str(error if isinstance(error, str) else error["message"])


def metric(server: Server, name: str) -> float:
    page = server.ask("GET", "/metrics").body.decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name + "{"))


def working(server: Server) -> float:
    """Answers that are generated or wait for it."""
    return metric(server, "vllm:num_requests_running") + metric(server, "vllm:num_requests_waiting")


# --- lengths


@pytest.mark.parametrize("path", list(bodies("")))
@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_over_the_context_is_refused_with_both_numbers(talker: Server, path: str, stream: bool) -> None:
    answer = talker.ask("POST", path, {**bodies("island " * 5000)[path], "stream": stream}, timeout=60)
    assert answer.status == 400, answer.body[:500]
    numbers = {int(word) for word in message_of(answer).replace(",", " ").replace(";", " ").split() if word.isdigit()}
    assert CONTEXT in numbers
    assert max(numbers) > CONTEXT


@pytest.mark.parametrize("path", list(bodies("")))
def test_prompt_and_answer_over_the_context(talker: Server, path: str) -> None:
    answer = talker.ask("POST", path, bodies("Hello", CONTEXT)[path], timeout=60)
    assert answer.status == 400, answer.body[:500]
    assert str(CONTEXT) in message_of(answer)


@pytest.mark.parametrize("path", list(bodies("")))
@pytest.mark.parametrize("most", [0, -5, 10**18])
def test_senseless_lengths_of_an_answer(talker: Server, path: str, most: int) -> None:
    answer = talker.ask("POST", path, bodies("Hello", most)[path], timeout=60)
    assert answer.status == 400, answer.body[:500]


def test_a_megabyte_of_prompt_is_refused_soon(talker: Server) -> None:
    began = time.monotonic()
    for text in ("a" * 4 * MIB, "🚲" * MIB, "\x00" * MIB, "<|im_start|>" * 100_000):
        refused(chat(talker, messages=[{"role": "user", "content": text}]), 400, 413)
    assert time.monotonic() - began < 60


# --- numbers


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 0),
        ("n", 129),
        ("n", 10**12),
        ("top_logprobs", 21),
        ("top_logprobs", 10**9),
        ("temperature", -1),
        ("temperature", 1e9),
        ("top_p", -0.1),
        ("top_k", -7),
        ("min_p", 1.5),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("repetition_penalty", 0),
        ("seed", 2**70),
        ("seed", 0.5),
        ("min_tokens", -1),
        ("stop", ""),
        ("stop", ["ok", ""]),
        ("stop", ["x"] * 10**5),
        ("stop", "x" * MIB),
        ("stop", {"text": "x"}),
        ("logit_bias", {"1": 1000}),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"-1": 1}),
        ("logit_bias", {"1": "much"}),
        ("logit_bias", {str(i): 1 for i in range(2000)}),
        ("logit_bias", [1, 2]),
        ("stop_token_ids", [-1]),
        ("timeout_ms", 0),
        ("priority", 99),
    ],
)
def test_numbers_and_lists_beyond_their_bounds(talker: Server, field: str, value: Any) -> None:
    rest = {"logprobs": True} if field == "top_logprobs" else {}
    answer = chat(talker, **{field: value}, **rest)
    refused(answer, 400, 413)
    assert field in message_of(answer)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "01", "0x1"])
@pytest.mark.parametrize("path", list(bodies("")))
def test_numbers_that_json_does_not_have(talker: Server, path: str, text: str) -> None:
    field = {"options": {"temperature": 0.125}} if path == OLLAMA else {"temperature": 0.125}
    body = json.dumps({**bodies("Hello")[path], **field}).replace("0.125", text).encode()
    assert talker.ask("POST", path, body).status == 400


def test_token_ids_outside_the_vocabulary(talker: Server) -> None:
    for prompt in ([1, 10**6], [[1], [2**31 - 1]], [-1], [2**40]):
        answer = talker.ask("POST", COMPLETE, {"model": "tiny", "prompt": prompt, "max_tokens": 2})
        refused(answer, 400)
    refused(talker.ask("POST", "/detokenize", {"model": "tiny", "tokens": [10**6]}), 400)
    refused(chat(talker, logit_bias={str(10**6): 1}), 400)


# --- schemas and tools


def formatted(server: Server, schema: Any, **rest: Any) -> Answer:
    format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    return chat(server, response_format=format, max_tokens=60, **rest)


LOOP = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}


@pytest.mark.parametrize(
    "schema",
    [
        LOOP,
        {"type": "objekt"},
        {"type": 5},
        {"$ref": "#/nowhere"},
        {"$ref": "http://169.254.169.254/schema.json"},
        {"type": "string", "pattern": "(a+)+("},
        {"type": "string", "pattern": "(?=look)ahead"},
        {"type": "object", "properties": []},
        {"enum": []},
        {"not": {"type": "string"}},
        {"type": "object", "unknownKeyword": 1, "if": {"type": "string"}},
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused(talker: Server, schema: Any) -> None:
    refused(formatted(talker, schema), 400)
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    refused(chat(talker, tools=[tool], tool_choice="required"), 400)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "string", "pattern": "^((((a|b)*c)*d)*e){1,50}$"},
        {"type": "string", "minLength": 0, "maxLength": 100_000},
        {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}, "maxItems": 10_000},
        {"anyOf": [{"const": f"value {index}"} for index in range(2000)]},
        {"type": "object", "properties": {f"p{index}": {"type": "string"} for index in range(1000)}},
    ],
    ids=["nested plus", "nested stars", "a long text", "long lists", "many constants", "many properties"],
)
def test_a_schema_that_is_costly_is_refused_or_answered_soon(talker: Server, schema: Any) -> None:
    began = time.monotonic()
    answer = formatted(talker, schema, timeout_ms=30_000)
    assert time.monotonic() - began < 45
    assert answer.status in (200, 400, 413, 504), answer.body[:300]
    assert chat(talker, max_tokens=3).status == 200


def test_schemas_nested_or_long_beyond_measure(talker: Server) -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(70):
        deep = {"type": "array", "items": deep}
    refused(formatted(talker, deep), 400)
    refused(formatted(talker, {"description": "x" * MIB}), 400, 413)
    nested = b'{"model":"tiny","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema",'
    nested += b'"json_schema":{"schema":' + b'{"items":' * 50_000 + b"{}" + b"}" * 50_000 + b"}}}"
    refused(talker.ask("POST", CHAT, nested), 400)


@pytest.mark.parametrize(
    "rest",
    [
        {"tools": [{"type": "weather"}]},
        {"tools": [{"type": "function"}]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tools": [{"type": "function", "function": {"name": "x" * 1000}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": "none"}}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}] * 2},
        {"tools": [{"type": "function", "function": {"name": f"f{index}"}} for index in range(1000)]},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "perhaps"},
        {"tools": [{"type": "function", "function": {"name": "f"}}],
         "tool_choice": {"type": "function", "function": {"name": "g"}}},
        {"tool_choice": "required"},
        {"functions": [{"name": "f"}]},
        {"response_format": {"type": "yaml"}},
    ],
)  # fmt: skip
def test_tools_and_formats_that_do_not_exist(talker: Server, rest: dict[str, Any]) -> None:
    refused(chat(talker, **rest), 400, 413)


# --- messages


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{}],
        "Hello",
        [{"role": "robot", "content": "x"}],
        [{"role": "user", "content": None}],
        [{"role": "user"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}]}],
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}],
        [{"role": "user", "content": [{"type": "text", "text": "see file:///etc/passwd"}, {"type": "file"}]}],
        [{"role": "tool", "content": "x", "tool_call_id": "nobody"}],
        [{"role": "user", "content": "x"}] * 20_000,
    ],
)
def test_messages_that_are_none(talker: Server, messages: Any) -> None:
    refused(chat(talker, messages=messages), 400, 413)


MEDIA = "http://127.0.0.1:{port}/picture.png"


def test_media_urls_are_not_fetched(talker: Server) -> None:
    """Nobody calls at the address that a request names."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        link = MEDIA.format(port=trap.getsockname()[1])
        asked = {
            CHAT: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": link}}]}]},
            RESPOND: {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": link}]}]},
            MESSAGES: {
                "max_tokens": 9,
                "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": link}}]}],
            },
            OLLAMA: {"messages": [{"role": "user", "content": "x", "images": [link]}]},
        }
        for path, body in asked.items():
            assert talker.ask("POST", path, {"model": "tiny", **body}).status == 400, path
        trap.settimeout(0.2)
        with pytest.raises(TimeoutError):
            trap.accept()


@pytest.mark.parametrize("field", ["chat_template", "chat_template_kwargs", "template"])
@pytest.mark.parametrize("path", [CHAT, RESPOND, MESSAGES, OLLAMA, "/tokenize"])
def test_templates_in_a_request_are_refused(talker: Server, path: str, field: str) -> None:
    known = {**bodies("x"), "/tokenize": {"model": "tiny", "prompt": "x"}}[path]
    value: Any = {"a": "{{ 7 * 7 }}"} if field.endswith("kwargs") else "{% for i in range(10**9) %}x{% endfor %}"
    answer = talker.ask("POST", path, {**known, field: value})
    assert answer.status == 400, answer.body[:300]


def test_what_looks_like_a_template_in_a_message_is_only_text(talker: Server) -> None:
    text = "{{ 7 * 7 }} {% for i in range(10**9) %}x{% endfor %} {{ ''.__class__.__mro__ }}"
    plain = talker.ask("POST", "/tokenize", {"model": "tiny", "prompt": text}).json()
    turn = talker.ask("POST", "/tokenize", {"model": "tiny", "messages": [{"role": "user", "content": text}]}).json()
    assert turn["count"] >= plain["count"]


def test_json_that_is_none(talker: Server) -> None:
    good = json.dumps({"model": "tiny", "messages": HI}).encode()
    bad = [b"", b"[]", b"null", good + b"x", good[:-1], b"\xef\xbb\xbf" + good, good.decode().encode("utf-16"),
           good.replace(b"Hello", b"\xff\xfe"), good.replace(b"Hello", b"\\ud800"), b"[" * 100_000]  # fmt: skip
    for body in bad:
        for path in (CHAT, RESPOND, COMPLETE, "/tokenize"):
            refused(talker.ask("POST", path, body), 400)


# --- clients that leave, and readers that are slow


def leave(server: Server, body: dict[str, Any], path: str, after_s: float = 0.0, read: int = 0) -> None:
    """Asks, reads so many bytes, waits, and hangs up."""
    with server.connect() as sock:
        sock.sendall(request("POST", path, json.dumps(body).encode()))
        while read > 0 and (data := sock.recv(read)):
            read -= len(data)
        time.sleep(after_s)


def soon_free(server: Server) -> None:
    """Nothing runs any more, at the latest after ten times the second that is promised: others share the machine."""
    eventually(lambda: working(server) == 0, "answers went on", 10)


@pytest.mark.parametrize("path", [CHAT, COMPLETE])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_place(talker: Server, path: str, stream: bool) -> None:
    body = {**bodies("Hello")[path], **FOREVER, "stream": stream}
    body.pop("max_completion_tokens", None)
    leave(talker, body, path)
    soon_free(talker)
    leave(talker, body, path, after_s=0.2)
    soon_free(talker)
    if stream:
        leave(talker, body, path, read=2000)
        soon_free(talker)


def test_clients_that_leave_the_queue_free_it(talker: Server) -> None:
    """Silent: their turn has not come."""
    body = {"model": "tiny", "messages": HI, "n": 16, **FOREVER}
    calls = [partial(leave, talker, body, CHAT, after_s=0.5) for _ in range(4)]
    together(calls)
    soon_free(talker)


def test_many_that_leave_at_any_moment(talker: Server) -> None:
    calls = []
    for index in range(100):
        body = {"model": "tiny", "messages": HI, "stream": index % 2 == 0, **FOREVER}
        calls.append(partial(leave, talker, body, CHAT, after_s=(index % 20) / 20))
    together(calls)
    soon_free(talker)


def test_a_reader_slower_than_the_model_is_cut(talker: Server) -> None:
    """What is not read is held up to a bound; then the answer ends, and its place is free."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"model": "tiny", "messages": HI, "stream": True, "n": 16, "stream_options": options, **FOREVER}
    memory = talker.memory()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", talker.port))
        sock.sendall(request("POST", CHAT, json.dumps(body).encode()))
        eventually(lambda: working(talker) > 0, "nothing runs")
        eventually(lambda: working(talker) == 0, "the answer went on for nobody", 60)
        assert talker.memory() < memory + 80 * MIB
        assert b"[DONE]" not in read_all(sock)[-100:]


def test_a_body_that_never_ends_asks_for_nothing(talker: Server) -> None:
    with talker.connect() as sock:
        sock.sendall(b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{" % CHAT.encode())
        for _ in range(20):
            assert working(talker) == 0
            time.sleep(0.02)


def test_an_answer_that_is_late_is_given_up(talker: Server) -> None:
    began = time.monotonic()
    refused(chat(talker, timeout_ms=300, **FOREVER), 504)
    assert time.monotonic() - began < 10
    raw = talker.raw(
        request(
            "POST", CHAT,
            json.dumps({"model": "tiny", "messages": HI, "stream": True, "timeout_ms": 600, **FOREVER}).encode(),
            "Connection: close",
        )
    )  # fmt: skip
    if raw.startswith(b"HTTP/1.1 200"):
        assert b'"deadline_exceeded"' in raw
        assert b"[DONE]" not in raw
    else:
        refused_raw(raw, 504)
