"""Routes over real sockets: providers that fail, hang, are cut, come back; and a server that loses nothing by it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from penstock.fakes import plans
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import Said
from tests import servers
from tests.servers import Answer, Server, eventually, says_nothing_internal

SECRET = "sk-very-secret-0123456789"
EJECT_S = 1.0
ROUTES: dict[str, Any] = {
    "assistant": {"models": ["first", "second"], "timeout_ms": 5000},
    "plain": {"models": ["first", "second"]},
    "alone": {"models": ["first"], "timeout_ms": 3000},
    "patient": {"models": ["first", "second"], "patience_ms": 200},
    "calm": {"models": ["first", "second"], "patience_ms": 1000},
    "hedged": {"models": ["first", "second"], "hedge_ms": 100},
    "kept": {"models": ["first"], "fallback": ["cached", "rule"], "cache": {"ttl_s": 0.3}, "rule": {"text": "Closed."}},
    "ruled": {"models": ["first"], "fallback": ["rule"], "rule": {"text": "Closed."}},
}


@dataclass
class House:
    """A server with routes, and the two providers behind it."""

    server: Server
    first: FakeOpenAI
    second: FakeAnthropic

    def ask(self, route: str = "assistant", text: str = "Hello", **more: Any) -> Answer:
        headers = more.pop("headers", None)
        body = {"model": route, "temperature": 0, "messages": [{"role": "user", "content": text}], **more}
        return self.server.ask("POST", "/v1/chat/completions", body, headers)

    def well(self) -> None:
        """Both providers answer, and the first is asked again."""
        for fake in (self.first, self.second):
            fake.plan = plans.GOOD
            fake._script.clear()
            fake.up()
        eventually(lambda: self.model() == "first@1", "the first is not asked again")

    def model(self, route: str = "assistant") -> str:
        answer = self.ask(route)
        assert answer.status == 200, answer
        return answer.headers["x-penstock-model"]


@pytest.fixture(scope="module")
def made() -> Iterator[House]:
    timeouts = {"first_byte_timeout_ms": 1500, "idle_timeout_ms": 500, "connect_timeout_ms": 500}
    with FakeOpenAI(key=SECRET) as first, FakeAnthropic() as second, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRST_KEY", SECRET)
        patch.setenv("SECOND_KEY", SECRET)
        models = {
            "first": {"source": f"{first.url}#gpt", "options": {"key": "env:FIRST_KEY", **timeouts}},
            "second": {
                "source": "anthropic:claude",
                "options": {"key": "env:SECOND_KEY", "url": second.url, **timeouts},
            },
        }
        more = {"routes": ROUTES, "breaker": {"eject_s": EJECT_S, "probe_s": EJECT_S}, "retries": {"backoff_ms": 5}}
        with servers.configured(models, **more) as server:
            yield House(server, first, second)


@pytest.fixture
def house(made: House) -> Iterator[House]:
    made.well()
    yield made
    made.well()
    assert made.server.ask("GET", "/livez").status == 200
    assert SECRET not in made.server.log()


@pytest.mark.parametrize(
    "plan",
    [
        plans.throttled(30),
        plans.failing(500),
        plans.failing(503),
        plans.unauthorized(SECRET),
        plans.html(),
        plans.cut(),
        plans.garbage(),
        plans.silent(),
        plans.slow(10),
    ],
    ids=["429", "500", "503", "401", "html", "cut", "garbage", "silent", "slow"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_provider_that_fails_is_not_seen(house: House, plan: plans.Plan, stream: bool) -> None:
    house.first.plan = plan
    answer = house.ask(stream=stream)
    assert answer.status == 200, answer
    assert b"Hello" in answer.body
    assert b"error" not in answer.body
    assert answer.headers["x-penstock-model"] == "second@1"
    assert answer.headers["x-penstock-reason"].startswith("fallback: first answered provider_")


def test_the_first_alone_tells_its_error_and_never_the_key(house: House) -> None:
    house.first.plan = plans.unauthorized(SECRET)
    answer = house.ask("alone")
    assert answer.status == 502
    assert SECRET.encode() not in answer.body
    says_nothing_internal(answer.body)


@pytest.mark.parametrize("words", ["temperature: range: 0..1", "this is wrong in any case"])
def test_what_one_provider_finds_wrong_another_may_take(house: House, words: str) -> None:
    house.first.script(*[plans.wrong(words)] * 8)
    for _ in range(8):
        assert house.model() == "second@1"
    assert house.model() == "first@1"
    house.first.script(plans.wrong(words))
    house.second.script(plans.wrong("the second finds so, too"))
    answer = house.ask()
    assert (answer.status, answer.json()["error"]["code"]) == (400, "not_accepted")
    assert words in answer.json()["error"]["message"]


def test_an_empty_account_is_no_fault_of_the_request(house: House) -> None:
    house.first.plan = plans.wrong("Your credit balance is too low to access the API. Please go to Plans & Billing.")
    answer = house.ask()
    assert (answer.status, answer.headers["x-penstock-model"]) == (200, "second@1")
    assert answer.headers["x-penstock-reason"] == "fallback: first answered provider_refused"
    asked = len(house.first.calls)
    assert house.model() == "second@1"
    assert len(house.first.calls) == asked


def test_a_completion_that_a_chat_model_lacks_leaves_it_in(house: House) -> None:
    words = "This is a chat model and not supported in the v1/completions endpoint. Did you mean v1/chat/completions?"
    for plan in (plans.wrong(words, 404), plans.wrong("Not Found", 404)):
        house.first.script(plan)
        answer = house.server.ask("POST", "/v1/completions", {"model": "assistant", "prompt": "Hello"})
        assert (answer.status, answer.headers["x-penstock-model"]) == (200, "second@1")
        assert house.model() == "first@1"


def test_a_long_tool_call_is_no_silence(house: House) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    before, house.first.said = (
        house.first.said,
        Said(calls=(("weather", '{"city": "Oslo", "text": "%s"}' % ("x" * 60)),)),
    )
    house.first.plan = plans.Plan(gap_s=0.1)
    try:
        answer = house.ask("calm", tools=[tool])
    finally:
        house.first.said = before
    assert (answer.status, answer.headers["x-penstock-model"]) == (200, "first@1"), answer
    assert answer.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"


def test_a_cut_in_the_middle_is_told_and_no_text_comes_twice(house: House) -> None:
    house.first.script(plans.cut(after=3))
    before = len(house.second.calls)
    body = house.ask(text="one two three four", stream=True).body.decode()
    assert "[DONE]" not in body
    assert '"error"' in body
    chunks = [json.loads(line.removeprefix("data: ")) for line in body.split("\n\n") if line.startswith("data: {")]
    words = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk.get("choices"))
    assert words
    assert "You said: one two three four".startswith(words)
    assert len(house.second.calls) == before


def test_all_down_is_one_503_within_the_deadline(house: House) -> None:
    house.first.plan = house.second.plan = plans.failing(500)
    began = time.monotonic()
    answer = house.ask()
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["code"] == "unavailable"
    says_nothing_internal(answer.body)
    assert time.monotonic() - began < 5


def test_one_deadline_for_all_tries(house: House) -> None:
    house.first.plan = house.second.plan = plans.slow(60)
    began = time.monotonic()
    answer = house.ask(timeout_ms=800)
    assert answer.status == 504, answer
    assert time.monotonic() - began < 8


def test_patience_and_hedges_ask_the_next(house: House) -> None:
    house.first.plan = plans.slow(1.2)
    assert house.model("patient") == "second@1"
    house.first.plan = plans.slow(1.2)
    assert house.model("hedged") == "second@1"


def test_a_silent_provider_is_left_out(house: House) -> None:
    """It has begun to work on each of these requests, and is to blame."""
    house.first.plan = plans.mute()
    for _ in range(6):
        assert house.model("patient") == "second@1"
    before = len(house.first.calls)
    assert house.model("patient") == "second@1"
    assert len(house.first.calls) == before


@pytest.mark.parametrize(
    ("route", "streamed"),
    [("plain", False), ("alone", False), ("patient", True), ("hedged", True), ("assistant", True)],
)
def test_who_listens_for_silence_asks_piece_by_piece(house: House, route: str, streamed: bool) -> None:
    """Also for a whole answer: where a route has somebody else to ask, and a time after which it would."""
    assert house.ask(route).status == 200
    assert house.first.calls[-1].json.get("stream", False) is streamed


def test_an_older_answer_then_a_rule(house: House) -> None:
    fresh = house.ask("kept", "What is kept?")
    assert fresh.headers["x-penstock-cache"] == "miss"
    again = house.ask("kept", "What is kept?")
    assert (again.headers["x-penstock-cache"], again.headers["age"]) == ("hit", "0")
    time.sleep(0.4)
    house.first.down()
    stale = house.ask("kept", "What is kept?")
    assert stale.json()["choices"] == fresh.json()["choices"]
    assert stale.headers["x-penstock-degraded"] == "cached"
    other = house.ask("kept", "What is not?")
    assert other.json()["choices"][0]["message"]["content"] == "Closed."
    assert other.headers["x-penstock-degraded"] == "rule"


def test_the_primary_is_killed_under_load_and_nothing_fails(house: House) -> None:
    house.first.plan = plans.Plan(gap_s=0.002)
    seen: Counter[tuple[str, str]] = Counter()
    stop = threading.Event()
    lock = threading.Lock()

    def load() -> None:
        while not stop.is_set():
            answer = house.ask(text="under load")
            with lock:
                seen[str(answer.status), answer.headers.get("x-penstock-model", "")] += 1

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: seen["200", "first@1"] > 50, "no load")
        house.first.down()
        eventually(lambda: seen["200", "second@1"] > 200, "the second does not answer")
        house.first.up()
        back = time.monotonic()
        before = seen["200", "first@1"]
        eventually(lambda: seen["200", "first@1"] > before + 50, "the first is not asked again", within_s=35)
        assert time.monotonic() - back < 10 * EJECT_S + 10
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(seen) <= {("200", "first@1"), ("200", "second@1")}, seen


def test_hints_pin_and_are_checked(house: House) -> None:
    assert house.ask(headers={"X-Penstock-Pin": "second"}).headers["x-penstock-model"] == "second@1"
    wrong = house.ask(headers={"X-Penstock-Pin": "third"})
    assert wrong.status == 400
    assert "first, second" in wrong.json()["error"]["message"]


def test_the_answer_says_what_it_cost_and_the_body_too(house: House) -> None:
    answer = house.ask("assistant", "What does it cost?")
    told = answer.json()["penstock"]
    assert (told["route"], told["model"], told["tries"]) == ("assistant", "first@1", 1)
    assert answer.headers["x-penstock-route"] == "assistant"
