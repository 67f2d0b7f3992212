"""Limits on real servers: who is over one is told so and harms nobody; nothing leaks when things go wrong."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import sqlalchemy

from penstock.admission.keys.store import KeyStore
from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI
from penstock.storage.database import Database
from tests.servers import Answer, Server, configured, eventually, moody, says_nothing_internal
from tests.services import Redis, running_redis

PRICES = {"moody": {"request": 0.3}}


@dataclass
class House:
    """A server, and a key per tenant."""

    server: Server
    keys: dict[str, str]
    ledger: str

    def predict(self, tenant: str = "small", value: float = 21, **headers: str) -> Answer:
        body = {"inputs": [value]}
        return self.server.ask("POST", "/models/moody/predict", body, {"x-api-key": self.keys[tenant], **headers})

    def statuses(self, count: int, tenant: str = "small") -> Counter[int]:
        return Counter(self.predict(tenant).status for _ in range(count))

    def written(self, query: str) -> list[Any]:
        """What the ledger says."""
        engine = sqlalchemy.create_engine(self.ledger)
        with closing(engine.connect()) as connection:
            found = connection.execute(sqlalchemy.text(query)).fetchall()
        engine.dispose()
        return list(found)


@contextmanager
def house(folder: Path, tenants: dict[str, Any], models: dict[str, Any] | None = None, **state: str) -> Iterator[House]:
    """A server whose keys and ledger are in a folder; keys are made anew for each."""
    url = f"sqlite:///{folder}/penstock.db"
    database = Database(url)
    store = KeyStore(database)
    keys = {name: store.create(name)[1] for name in ("small", "large")}
    database.close()
    settings: dict[str, Any] = {"tenants": tenants, "state": {"url": url, **state}}
    if models is None:
        settings["prices"] = PRICES
    else:
        settings["routes"] = {"assistant": {"models": list(models)}}
    with configured(models or {"moody": moody(replicas=2)}, **settings) as server:
        yield House(server, keys, url)


def test_who_is_over_a_limit_is_told_and_harms_nobody(tmp_path: Path) -> None:
    tenants = {"small": {"requests_per_minute": 30, "burst_s": 6}, "*": {"requests_per_minute": 60_000}}
    with house(tmp_path, tenants) as served:
        first = served.predict()
        assert first.headers["ratelimit-policy"] == '"requests";q=30;w=60'
        assert first.headers["x-ratelimit-remaining-requests"] == "2"
        answers = [served.predict() for _ in range(12)]
        statuses = Counter(answer.status for answer in answers)
        assert statuses[200] < 6
        assert statuses[429] == 12 - statuses[200]
        assert served.statuses(20, "large") == {200: 20}
        refused = answers[-1]
        assert 1 <= int(refused.headers["retry-after"]) <= 2
        assert "30 requests per minute" in refused.json()["error"]["message"]
        says_nothing_internal(refused.body)
        time.sleep(int(refused.headers["retry-after"]))
        assert served.predict().status == 200, "who waits as told comes in"
        count = "SELECT count(*) FROM penstock_requests WHERE tenant = 'small' AND status = 429"
        eventually(lambda: served.written(count)[0][0] == statuses[429], "every refusal is written down")


def test_a_budget_outlives_a_restart_and_a_kill(tmp_path: Path) -> None:
    tenants = {"*": {"budget_per_day": 1.0}}
    with house(tmp_path, tenants) as served:
        assert served.statuses(5) == {200: 3, 429: 2}
        refused = served.predict()
        assert refused.json()["error"]["code"] == "budget_spent"
        assert "1 USD for this day" in refused.json()["error"]["message"]
        paid = "SELECT sum(cost) FROM penstock_requests WHERE tenant = 'small'"
        eventually(lambda: served.written(paid)[0][0] == pytest.approx(0.9), "what was paid is written down")
        served.server.process.kill()
        served.server.process.wait(10)
    with house(tmp_path, tenants) as served:
        assert served.statuses(3) == {429: 3}, "what is left does not pay for one"
        assert served.statuses(3, "large") == {200: 3}


def test_requests_under_way_are_bounded_and_every_end_makes_room(tmp_path: Path) -> None:
    with house(tmp_path, {"small": {"concurrency": 2}}) as served:
        done = threading.Event()
        asked = [threading.Thread(target=_goes_on, args=(served, done)) for _ in range(3)]
        for thread in asked:
            thread.start()
        refused = eventually(lambda: (got := served.predict()).status == 429 and got, "the third is refused", 10)
        assert "2 requests may be under way" in refused.json()["error"]["message"]
        done.set()
        for thread in asked:
            thread.join()
        for mood in (666, 888, "text"):
            assert served.predict(value=mood).status >= 400  # type: ignore[arg-type]
        assert served.statuses(5) == {200: 5}
        for _ in range(4):
            sock = served.server.connect()
            head = f"POST /models/moody/predict HTTP/1.1\r\nhost: localhost\r\nx-api-key: {served.keys['small']}\r\n"
            sock.sendall(head.encode() + b'content-length: 17\r\n\r\n{"inputs": [999]}')
            time.sleep(0.05)
            sock.close()
        eventually(lambda: served.predict().status == 200, "who hung up holds no place", 5)


def _goes_on(served: House, done: threading.Event) -> None:
    """One slow request after the other."""
    while not done.is_set():
        served.predict(value=999)


def test_servers_share_limits_and_go_on_without_redis(tmp_path: Path) -> None:
    tenants = {"*": {"requests_per_minute": 10, "burst_s": 60}}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with running_redis() as redis, two(tmp_path, tenants, redis) as (one, other):
        answers = Counter(served.predict().status for _ in range(12) for served in (one, other))
        assert 10 <= answers[200] <= 12
        assert answers[200] + answers[429] == 24
        redis.stop()
        later = one.statuses(20, "large") + other.statuses(20, "large")
        assert 20 <= later[200] <= 24, "each keeps to its own limit"
        assert later[200] + later[429] == 40
        for served in (one, other):
            said = [line for line in served.server.log().splitlines() if "redis_away" in line]
            assert len(said) == 1
            assert served.keys["large"] not in served.server.log()


@contextmanager
def two(folder: Path, tenants: dict[str, Any], redis: Redis) -> Iterator[tuple[House, House]]:
    with (
        house(folder / "one", tenants, redis=redis.url) as one,
        house(folder / "other", tenants, redis=redis.url) as other,
    ):
        yield one, other


@dataclass
class Talking(House):
    """A server before a provider."""

    provider: FakeOpenAI

    @property
    def client(self) -> openai.OpenAI:
        url = f"http://127.0.0.1:{self.server.port}/v1"
        return openai.OpenAI(base_url=url, api_key=self.keys["small"], max_retries=0)


@contextmanager
def talking(folder: Path, **limits: Any) -> Iterator[Talking]:
    with FakeOpenAI(key="sk-real") as provider, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWN_KEY", "sk-real")
        models = {"chat": {"source": f"{provider.url}#gpt", "options": {"key": "env:OWN_KEY"}}}
        with house(folder, {"small": limits}, models) as served:
            yield Talking(served.server, served.keys, served.ledger, provider)


@pytest.mark.parametrize("name", ["chat", "assistant"])
def test_a_stream_that_is_left_is_paid_as_far_as_it_went(tmp_path: Path, name: str) -> None:
    with talking(tmp_path, tokens_per_minute=100_000, concurrency=1) as served, served.client as client:
        served.provider.plan = plans.Plan(gap_s=0.05)
        text = "word " * 400
        stream = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": text}], stream=True, max_tokens=1000
        )
        for number, _ in enumerate(stream):
            if number == 5:
                break
        stream.close()
        query = "SELECT status, code, model, prompt_tokens, completion_tokens FROM penstock_requests"
        ((status, code, model, prompt, answer),) = eventually(lambda: served.written(query), "it is written down")
        assert (status, code, model) == (499, "cancelled", "chat")
        assert prompt > 0
        assert 0 < answer < 100
        served.provider.plan = plans.GOOD
        whole = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
        assert whole.choices[0].message.content


def test_clients_of_the_vendors_understand_a_limit(tmp_path: Path) -> None:
    with talking(tmp_path, tokens_per_minute=100) as served, served.client as client:
        long = "word " * 50
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": long}], max_tokens=10)
        with pytest.raises(openai.RateLimitError) as refusal:
            client.chat.completions.create(model="chat", messages=[{"role": "user", "content": long}], max_tokens=10)
        assert int(refusal.value.response.headers["retry-after"]) > 1
        assert "100 tokens per minute" in refusal.value.message
        url = f"http://127.0.0.1:{served.server.port}"
        with (
            anthropic.Anthropic(base_url=url, api_key=served.keys["small"], max_retries=0) as other,
            pytest.raises(anthropic.RateLimitError),
        ):
            other.messages.create(model="chat", max_tokens=10, messages=[{"role": "user", "content": long}])
        body = {"model": "chat", "messages": [{"role": "user", "content": "word " * 5000}]}
        answer = served.server.ask("POST", "/v1/chat/completions", body, {"x-api-key": served.keys["small"]})
        assert answer.status == 413
        assert "100 tokens" in json.loads(answer.body)["error"]["message"]


def test_overload_is_refused_at_once_instead_of_waiting(tmp_path: Path) -> None:
    adaptive = {"adaptive": {"initial": 4, "least": 2}}
    with configured({"moody": moody()}, admission=adaptive) as server:
        assert server.predict(21).status == 200
        answers: list[tuple[int, float]] = []

        def ask() -> None:
            began = time.monotonic()
            answers.append((server.predict(999).status, time.monotonic() - began))

        asked = [threading.Thread(target=ask) for _ in range(30)]
        for thread in asked:
            thread.start()
        for thread in asked:
            thread.join()
        statuses = Counter(status for status, _ in answers)
        assert set(statuses) == {200, 503}
        assert 4 <= statuses[200] < 15
        assert max(took for status, took in answers if status == 200) < 10
        server.is_well()
