"""A real server's ledger: every way in which a request ends is in it, with its price."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.plans import failing
from penstock.storage.database import Database
from penstock.telemetry.ledger.costs import costs
from tests import servers
from tests.telemetry.ledger.conftest import kept

PRICES = {"cheap": {"prompt": 1.0, "completion": 2.0}, "dear": {"prompt": 10.0, "completion": 20.0}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The server's database."""
    return tmp_path / "penstock.db"


@pytest.fixture
def provider() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as fake:
        yield fake


def settings(provider: FakeOpenAI, file: Path, **state: Any) -> dict[str, Any]:
    """Two models of one provider behind a route, and a local model."""
    return {
        "models": {
            "cheap": {"source": f"{provider.url}#cheap"},
            "dear": {"source": f"{provider.url}#dear"},
            "moody": servers.moody(),
        },
        "routes": {"chat": {"models": ["cheap", "dear"], "cache": {"ttl_s": 60}}},
        "prices": PRICES,
        "state": {"url": f"sqlite:///{file}", **state},
    }


def say(server: servers.Server, text: str, model: str = "chat", id: str = "r1") -> servers.Answer:
    body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
    return server.ask("POST", "/v1/chat/completions", body, {"X-Request-Id": id})


def test_every_end_is_written_and_priced(provider: FakeOpenAI, file: Path) -> None:
    with servers.configured(**settings(provider, file)) as server:
        first = say(server, "how are you", id="asked")
        assert first.status == 200, first
        assert say(server, "how are you", id="again").status == 200
        assert say(server, "how are you", "dear", id="straight").status == 200
        provider.script(failing(500), failing(500), failing(500), failing(500))
        assert say(server, "and now", id="broken").status in (200, 502, 503)
        server.is_well()
        assert server.predict(1, "nobody").status == 404
        score = server.ask("POST", "/v1/feedback", {"request": "asked", "score": 0.75})
        assert score.status == 202, score
        page = server.ask("GET", "/metrics").body.decode()
        server.signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    database = Database(f"sqlite:///{file}")
    rows = {row[0]: row[1:] for row in kept(database, "SELECT id, model, cache, cost, premium FROM penstock_requests")}
    usage = first.json()["usage"]
    cost = (usage["prompt_tokens"] * 1.0 + usage["completion_tokens"] * 2.0) / 1e6
    assert rows["asked"] == ("cheap", "miss", pytest.approx(cost), pytest.approx(10 * cost))
    assert rows["again"] == ("cheap", "hit", 0.0, pytest.approx(10 * cost))
    assert rows["straight"][0] == "dear"
    assert rows["straight"][2:] == (pytest.approx(10 * cost), None)
    assert "broken" in rows
    found = costs(database, "model", time.time() - 600, time.time() + 600)
    by_name = {row.name: row for row in found.rows}
    assert by_name["moody"].requests == 1
    assert 0 < by_name["moody"].cost < 0.001
    assert by_name["cheap"].score == 0.75
    assert float(first.headers["x-penstock-cost"]) == pytest.approx(cost)
    assert 'penstock_cost_usd_total{model="dear",route=""}' in page
    assert 'penstock_route_cache_total{result="hit",route="chat"} 1.0' in page
    database.close()


def test_the_command_reads_while_the_server_runs(provider: FakeOpenAI, file: Path) -> None:
    with servers.configured(**settings(provider, file)) as server:
        for number in range(5):
            say(server, f"question {number}", id=f"q{number}")
        command = [sys.executable, "-m", "penstock.cli.main", "costs", "--by", "route", "--json"]

        def told() -> bool:
            done = subprocess.run(
                [*command, "--state", f"sqlite:///{file}"], capture_output=True, text=True, timeout=60
            )
            return done.returncode == 0 and json.loads(done.stdout)["total"]["requests"] == 5

        servers.eventually(told, "the ledger lags")


def test_many_predictions_take_few_rows(provider: FakeOpenAI, file: Path) -> None:
    with servers.configured(**settings(provider, file, rows_per_minute=50)) as server:
        for _ in range(60):
            server.is_well()
        server.signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    database = Database(f"sqlite:///{file}")
    (rows, requests) = kept(database, "SELECT count(*), sum(count) FROM penstock_requests")[0]
    assert requests == 60
    assert rows <= 12
    database.close()


def test_a_state_that_keeps_nothing(provider: FakeOpenAI, file: Path) -> None:
    described = settings(provider, file)
    described["state"] = {"url": "none"}
    with servers.configured(**described) as server:
        assert say(server, "how are you").status == 200
        assert "penstock_cost_usd_total" in server.ask("GET", "/metrics").body.decode()
        assert server.ask("POST", "/v1/feedback", {"request": "r1", "score": 1}).status == 501
    assert not file.exists()
