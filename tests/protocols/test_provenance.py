"""Who answered, why, and at what price: headers of every door, and bodies of generated text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from penstock.admission.feedback import FeedbackRate
from penstock.core.clock import StillClock, system_clock
from penstock.core.errors import BudgetSpent, QuotaExceeded
from penstock.core.generation import Generated, Started, Stopped, Text, Usage
from penstock.core.ledger import Entry, Feedback
from penstock.core.quota import Quota
from penstock.core.reply import Meta, Reply
from penstock.core.request import Handler, Request
from penstock.protocols.anthropic.door import Anthropic
from penstock.protocols.feedback import FeedbackDoor
from penstock.protocols.http.errors import error_response
from penstock.protocols.http.routes import Routes
from penstock.protocols.ollama.door import OllamaText
from penstock.protocols.openai.door import OpenAI
from penstock.protocols.provenance import dollars, provenance, told
from penstock.protocols.quotas import quota_headers
from penstock.routing.names import Names
from tests.protocols.doors import Doors, body, header, view
from tests.protocols.guards import Words, principal
from tests.protocols.scripted import Live, Scripted, live, llm
from tests.protocols.texts import EMBEDS

ROWS = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()
INFER = json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
ROUTED = {
    "x-penstock-model": "iris@3",
    "x-penstock-route": "flowers",
    "x-penstock-reason": "cheapest that suffices",
    "x-penstock-tries": "2",
    "x-penstock-cost": "0.0000125",
    "x-penstock-cache": "hit",
    "x-penstock-degraded": "cached",
    "age": "61",
}


def meta_of(**known: Any) -> Meta:
    """What a reply says of itself."""
    meta = Meta("iris", "3")
    for name, value in known.items():
        setattr(meta, name, value)
    return meta


def routed() -> Meta:
    """An old answer that a route found at its second try."""
    why = "cheapest that suffices"
    known = {"route": "flowers", "why": why, "tries": 2, "cost": 1.25e-5}
    return meta_of(**known, cache="hit", age_s=61.9, degraded="cached")


def of(headers: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    return {name.decode(): value.decode() for name, value in headers}


def test_only_what_is_known_is_told() -> None:
    assert of(provenance(meta_of())) == {"x-penstock-model": "iris@3"}
    assert of(provenance(meta_of(cost=0.0))) == {"x-penstock-model": "iris@3", "x-penstock-cost": "0"}
    missed = of(provenance(meta_of(cache="miss")))
    assert missed == {"x-penstock-model": "iris@3", "x-penstock-cache": "miss"}
    assert of(provenance(routed())) == ROUTED
    rule = meta_of(model="", version="", route="r", why="rule")
    assert of(provenance(rule)) == {"x-penstock-route": "r", "x-penstock-tries": "1", "x-penstock-reason": "rule"}


def test_the_body_says_the_same() -> None:
    assert told(meta_of(), "id") == {}
    assert told(meta_of(cost=0.0), "id") == {"penstock": {"request": "id", "model": "iris@3", "cost": 0.0}}
    found = told(routed(), "id")["penstock"]
    assert found == {
        "request": "id",
        "model": "iris@3",
        "route": "flowers",
        "reason": "cheapest that suffices",
        "tries": 2,
        "degraded": "cached",
        "cache": "hit",
        "cost": 0.0000125,
    }


@pytest.mark.parametrize(
    ("cost", "text"),
    [(0.0, "0"), (1e-9, "0.000000001"), (4e-10, "0"), (0.1 + 0.2, "0.3"), (12.0, "12"), (1e6, "1000000"), (10, "10")],
)
def test_money_is_told_to_a_billionth(cost: float, text: str) -> None:
    assert dollars(cost) == text


def test_a_reason_cannot_become_a_header() -> None:
    headers = of(provenance(meta_of(route="r", why="a\r\nset-cookie: b\x00ü")))
    assert headers["x-penstock-reason"] == "a?set-cookie: b?"


class Answers:
    """A model that answers with what it got, and says this of itself."""

    def __init__(self, meta: Meta):
        self._meta = meta

    async def __call__(self, request: Request) -> Reply:
        assert not hasattr(request.payload, "messages")
        reply = Reply(self._meta)
        reply.settle(request.payload)  # type: ignore[arg-type]
        return reply


@pytest.mark.parametrize(("path", "content"), [("/models/iris/predict", ROWS), ("/v2/models/iris/infer", INFER)])
def test_predictions_carry_the_headers(path: str, content: bytes) -> None:
    answer = Doors(handler=Answers(routed())).ask("POST", path, content)
    assert answer.status == 200
    assert of(answer.headers or []).items() >= ROUTED.items()


# --- generated text

ENDED = (Started(5), Text(0, "hi"), Stopped(0, "stop"), Generated(Usage(5, 0, 2)))


class Route(Scripted):
    """A route over a scripted model: the price is known when the answer ends, and not before."""

    async def __call__(self, request: Request) -> Reply:
        reply = await super().__call__(request)
        meta = reply.meta
        meta.route, meta.why, meta.tries, meta.cache = "assistant", "easy", 2, "miss"
        reply.add_end_callback(lambda _: setattr(meta, "cost", 0.00125))
        return reply


def mounted(handler: Handler) -> Any:
    """Mounts the doors for generated text."""

    def mount(routes: Routes, models: Names) -> None:
        OpenAI(handler, models, system_clock).mount(routes)
        Anthropic(handler, models, system_clock).mount(routes)
        OllamaText(handler, models, system_clock).mount(routes)

    return mount


MESSAGES = [{"role": "user", "content": "hi"}]
CHAT = {"model": "tiny", "messages": MESSAGES}
TEXTS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"model": "tiny", "prompt": "hi"},
    "/v1/responses": {"model": "tiny", "input": "hi"},
    "/v1/messages": {**CHAT, "max_tokens": 5},
    "/api/chat": CHAT,
    "/api/generate": {"model": "tiny", "prompt": "hi"},
}
KNOWN = {"model": "tiny@1", "route": "assistant", "reason": "easy", "tries": 2, "cache": "miss", "cost": 0.00125}


@pytest.mark.parametrize("path", TEXTS)
def test_a_whole_answer_says_who_gave_it(path: str) -> None:
    with live(mounted(Route(ENDED))) as server:
        status, headers, raw = server.ask("POST", path, TEXTS[path] | {"stream": False})
        assert status == 200
        assert headers["x-penstock-route"] == "assistant"
        assert headers["x-penstock-cost"] == "0.00125"
        assert json.loads(raw)["penstock"] == {"request": headers["x-request-id"], **KNOWN}


@pytest.mark.parametrize("path", TEXTS)
def test_a_stream_says_at_its_end_what_it_cost(path: str) -> None:
    usage = {"stream_options": {"include_usage": True}} if path.endswith("completions") else {}
    with live(mounted(Route(ENDED))) as server:
        status, headers, raw = server.ask("POST", path, TEXTS[path] | {"stream": True} | usage)
        assert (status, headers["x-penstock-reason"]) == (200, "easy")
        assert "x-penstock-cost" not in headers
        found = [event for line in raw.splitlines() if (event := _event(line)) is not None]
        found += [event["response"] for event in found if isinstance(event.get("response"), dict)]
        assert [event["penstock"] for event in found if "penstock" in event] == [
            {"request": headers["x-request-id"], **KNOWN}
        ]


def _event(line: bytes) -> Any:
    line = line.removeprefix(b"data: ")
    return json.loads(line) if line.startswith(b"{") else None


def test_without_a_route_or_a_price_nothing_is_added() -> None:
    with live(mounted(Scripted(ENDED))) as server:
        for path, message in TEXTS.items():
            assert b"penstock" not in server.ask("POST", path, message)[2]


def test_several_prompts_cost_what_all_of_them_cost() -> None:
    with live(mounted(Route(ENDED))) as server:
        told = server.json("/v1/completions", {"model": "tiny", "prompt": ["a", "b", "c"]})["penstock"]
        assert told["cost"] == 0.00375


def test_official_clients_read_such_answers() -> None:
    import anthropic
    import ollama
    import openai

    with live(mounted(Route(ENDED))) as server:
        _openai(openai.OpenAI(base_url=f"{server.url}/v1", api_key="none"))
        _anthropic(anthropic.Anthropic(base_url=server.url, api_key="none"))
        with ollama.Client(server.url) as client:
            assert client.chat("tiny", MESSAGES).message.content == "hi"
            assert [part.message.content for part in client.chat("tiny", MESSAGES, stream=True)] == ["hi", ""]


def _openai(client: Any) -> None:
    with client:
        whole = client.chat.completions.create(model="tiny", messages=MESSAGES)
        assert whole.model_extra["penstock"]["cost"] == 0.00125
        options = {"include_usage": True}
        stream = client.chat.completions.create(model="tiny", messages=MESSAGES, stream=True, stream_options=options)
        assert list(stream)[-1].model_extra["penstock"]["route"] == "assistant"
        with client.chat.completions.stream(model="tiny", messages=MESSAGES, stream_options=options) as events:
            assert events.get_final_completion().choices[0].message.content == "hi"
        assert client.responses.create(model="tiny", input="hi").model_extra["penstock"]["tries"] == 2
        with client.responses.stream(model="tiny", input="hi") as events:
            assert events.get_final_response().output_text == "hi"
        assert client.completions.create(model="tiny", prompt="hi").choices[0].text == "hi"


def _anthropic(client: Any) -> None:
    with client:
        whole = client.messages.create(model="tiny", messages=MESSAGES, max_tokens=5)
        assert whole.model_extra["penstock"]["cost"] == 0.00125
        with client.messages.stream(model="tiny", messages=MESSAGES, max_tokens=5) as events:
            assert events.get_final_text() == "hi"


# --- limits

QUOTAS = (Quota("requests", 60.0, 59.7, 0.5, 60.0), Quota("budget-day", 5.0, 1.23456, 3600.2, 86_400.0))


def test_what_is_left_of_limits() -> None:
    assert quota_headers(()) == []
    assert of(quota_headers(QUOTAS)) == {
        "ratelimit-policy": '"requests";q=60;w=60, "budget-day";q=5.000;w=86400',
        "ratelimit": '"requests";r=59;t=1, "budget-day";r=1.234;t=3601',
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "0.500s",
    }
    overdrawn = Quota("tokens", 10.0, -3.0, 20.0, 60.0)
    assert of(quota_headers((overdrawn,)))["ratelimit"] == '"tokens";r=0;t=20'
    at_once = Quota("concurrency", 4.0, 1.0, 0.0, 0.0)
    assert of(quota_headers((at_once,)))["ratelimit-policy"] == '"concurrency";q=4'


def test_refusals_and_answers_say_it() -> None:
    error = QuotaExceeded("too many", retry_after_s=3.0)
    error.quotas = QUOTAS
    refused = error_response(error, "id", b"/v1/chat/completions")
    assert (refused.status, header(refused, "retry-after")) == (429, "3")
    assert header(refused, "ratelimit") == '"requests";r=59;t=1, "budget-day";r=1.234;t=3601'
    assert of(provenance(meta_of(quotas=QUOTAS)))["x-ratelimit-remaining-requests"] == "59"


def test_who_has_spent_all_is_told_not_to_ask_again() -> None:
    spent = BudgetSpent("the budget for this day is used up", retry_after_s=3600.0)
    for path in (b"/v1/chat/completions", b"/v1/messages"):
        refused = error_response(spent, "id", path)
        assert (refused.status, header(refused, "x-should-retry")) == (429, "false")
        assert header(error_response(QuotaExceeded("wait"), "id", path), "x-should-retry") is None
    told = json.loads(body(error_response(spent, "id", b"/v1/chat/completions")))["error"]
    assert (told["type"], told["code"]) == ("rate_limit_error", "insufficient_quota")


# --- feedback


class Book:
    """A ledger in a list."""

    def __init__(self) -> None:
        self.written: list[Feedback] = []

    def record(self, entry: Entry) -> None:
        raise AssertionError("feedback is no request")

    def feedback(self, feedback: Feedback) -> None:
        self.written.append(feedback)


def rated(book: Book | None, message: Any, key: str = "k") -> tuple[int, Any]:
    """The status of feedback, and its answer."""

    def mount(routes: Routes, models: Names) -> None:
        FeedbackDoor(book, wall=lambda: 1234.5).mount(routes)

    with live(mount, guard=Words({"k": principal(["infer"]), "r": principal(["read"])})) as server:
        status, _, raw = server.ask("POST", "/v1/feedback", message, Authorization=f"Bearer {key}")
        return status, json.loads(raw)


def test_feedback_goes_to_the_ledger_as_its_tenants() -> None:
    book = Book()
    said = {"request": "abc-1", "score": 0.5}
    assert rated(book, {**said, "comment": "meh"}) == (202, said)
    assert rated(book, {"request": "abc-2", "score": 1})[0] == 202
    assert book.written == [
        Feedback("abc-1", "acme", 1234.5, 0.5, "user", "meh"),
        Feedback("abc-2", "acme", 1234.5, 1.0),
    ]


def test_the_ledgers_queue_gets_short_comments_without_keys() -> None:
    book, key = Book(), "pst-abcdefgh2345-" + "A" * 43
    comment = "\u4e00" * 470 + key + "\u4e00" * 3000
    assert rated(book, {"request": "abc-1", "score": 1, "comment": comment})[0] == 202
    [kept] = book.written
    assert len(kept.comment) == 500
    assert kept.comment.startswith("\u4e00" * 470 + "pst-abcdefgh2345-***\u4e00")


def test_a_tenant_gives_so_much_feedback_and_others_go_on() -> None:
    book, clock = Book(), StillClock()
    rate = FeedbackRate(60, clock)

    def mount(routes: Routes, models: Names) -> None:
        FeedbackDoor(book, rate).mount(routes)

    keys = {"k": principal(["infer"]), "o": principal(["infer"], tenant="other")}
    with live(mount, guard=Words(keys)) as server:

        def give(key: str) -> int:
            said = {"request": f"r{len(book.written)}", "score": 1}
            status, told, _ = server.ask("POST", "/v1/feedback", said, Authorization=f"Bearer {key}")
            if status == 429:
                assert told["retry-after"] == "1"
            return status

        assert [give("k") for _ in range(12)] == [202] * 10 + [429] * 2
        assert give("o") == 202
        clock.advance(1.0)
        assert [give("k") for _ in range(2)] == [202, 429]
    assert len(book.written) == 12


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"score": 1}, "request"),
        ({"request": "", "score": 1}, "request"),
        ({"request": "a b", "score": 1}, "request"),
        ({"request": "a\n", "score": 1}, "request"),
        ({"request": "a" * 129, "score": 1}, "request"),
        ({"request": "a"}, "score"),
        ({"request": "a", "score": 1.01}, "score"),
        ({"request": "a", "score": -1}, "score"),
        ({"request": "a", "score": "good"}, "score"),
        ({"request": "a", "score": 1, "comment": "x" * 4097}, "comment"),
        ({"request": "a", "score": 1, "tenant": "other"}, "tenant"),
        (b'{"request": "a", "score": NaN}', None),
    ],
)
def test_feedback_that_cannot_be_read_is_refused(message: Any, field: str | None) -> None:
    book = Book()
    status, answer = rated(book, message)
    assert (status, answer["error"]["param"]) == (400, field)
    assert book.written == []


def test_feedback_needs_a_key_that_asks_and_a_ledger() -> None:
    assert rated(Book(), {"request": "a", "score": 1}, "r")[0] == 403
    assert rated(Book(), {"request": "a", "score": 1}, "x")[0] == 401
    assert rated(None, {"request": "a", "score": 1})[0] == 501


def test_embeddings_carry_the_headers() -> None:
    server = Doors(view("minilm", EMBEDS))
    refused = server.ask("POST", "/v1/embeddings", b'{"model": "minilm", "input": "a"}', x_penstock_budget="x")
    assert refused.status == 400
    assert b"X-Penstock-Budget" in body(refused)


def served(server: Live) -> Any:
    return server.json("/v1/models")


def test_a_route_is_asked_by_its_name() -> None:
    handler = Route(ENDED)
    with live(mounted(handler), llm(), routes_to={"assistant": "tiny"}) as server:
        assert {model["id"] for model in served(server)["data"]} >= {"tiny", "assistant"}
        for path, message in TEXTS.items():
            assert server.ask("POST", path, message | {"model": "assistant"})[0] == 200
    assert {request.model for request in handler.requests} == {"assistant"}
