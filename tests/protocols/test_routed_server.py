"""A real server with a route, a price, a limit and a ledger: what its answers say, and what becomes of feedback."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import Answer, Server, configured, eventually, moody

ROUTE = {"models": ["small", "large"], "policy": "first", "cache": {"ttl_s": 60}}


@dataclass
class Busy:
    """The server, and the file of its ledger."""

    server: Server
    ledger: Path

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What is written in the ledger; nothing before it has its tables."""
        try:
            with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as database:
                return database.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    ledger = tmp_path_factory.mktemp("state") / "penstock.db"
    with configured(
        {"small": moody(), "large": moody()},
        routes={"double": ROUTE},
        aliases={"stable": "small"},
        prices={"small": {"request": 0.000125}, "large": {"request": 0.01}},
        tenants={"*": {"requests_per_minute": 6000, "budget_per_day": 100}},
        state={"url": f"sqlite:///{ledger}"},
    ) as server:
        yield Busy(server, ledger)


def ask(busy: Busy, value: float, model: str = "double", **headers: str) -> Answer:
    """One row to a route, or a model."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = busy.server.ask("POST", f"/models/{model}/predict", {"inputs": [value]}, named)
    assert (answer.status, answer.json()["outputs"]) == (200, [2 * value]), answer
    return answer


def test_a_route_says_who_answered_and_for_how_much(busy: Busy) -> None:
    first, again = ask(busy, 1.5), ask(busy, 1.5)
    said = {name: first.headers.get(f"x-penstock-{name}") for name in ("model", "route", "tries", "cost", "cache")}
    assert said == {"model": "small@1", "route": "double", "tries": "1", "cost": "0.000125", "cache": "miss"}
    assert first.headers["x-penstock-reason"].isascii()
    assert "age" not in first.headers
    assert (again.headers["x-penstock-cache"], again.headers["x-penstock-cost"]) == ("hit", "0")
    assert int(again.headers["age"]) < 60
    assert '"requests"' in first.headers["ratelimit-policy"]
    assert int(again.headers["x-ratelimit-remaining-requests"]) < 6000


def test_wishes_reach_the_route(busy: Busy) -> None:
    pinned = ask(busy, 2.5, x_penstock_pin="large")
    assert pinned.headers["x-penstock-model"] == "large@1"
    assert "pinned" in pinned.headers["x-penstock-reason"]
    for wish in ("no-store", "no-store", "no-cache"):
        assert ask(busy, 3.5, cache_control=wish).headers.get("x-penstock-cache") != "hit"
    refused = busy.server.ask("POST", "/models/double/predict", {"inputs": [1.0]}, {"x-penstock-pin": "nobody"})
    assert refused.status == 400


def test_the_open_inference_protocol_too(busy: Busy) -> None:
    tensors = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [4.5]}]}
    model = busy.server.ask("GET", "/v2/models/double").json()
    tensors["inputs"][0] |= {"name": model["inputs"][0]["name"], "datatype": model["inputs"][0]["datatype"]}
    answer = busy.server.ask("POST", "/v2/models/double/infer", tensors)
    assert (answer.status, answer.headers["x-penstock-route"]) == (200, "double")
    assert model["versions"]


def test_a_model_itself_says_its_price_and_no_route(busy: Busy) -> None:
    for name in ("large", "stable"):
        headers = ask(busy, 5.5, name).headers
        assert "x-penstock-route" not in headers
        assert headers["x-penstock-cost"] == ("0.01" if name == "large" else "0.000125")


def test_lists_have_the_route_and_the_alias(busy: Busy) -> None:
    ids = [model["id"] for model in busy.server.ask("GET", "/v1/models").json()["data"]]
    assert set(ids) == {"small", "large", "stable", "double"}
    assert "/models/double/predict" in busy.server.ask("GET", "/openapi.json").json()["paths"]


def test_feedback_is_written_beside_its_request(busy: Busy) -> None:
    answer = ask(busy, 6.5, x_request_id="mine-1")
    assert answer.headers["x-request-id"] == "mine-1"
    taken = busy.server.ask("POST", "/v1/feedback", {"request": "mine-1", "score": 0.25, "comment": "so so"})
    assert (taken.status, taken.json()) == (202, {"request": "mine-1", "score": 0.25})
    joined = (
        "select r.route, r.model, r.cost, f.score, f.comment from penstock_requests r "
        "join penstock_feedback f on f.request = r.id and f.tenant = r.tenant where r.id = 'mine-1'"
    )
    eventually(lambda: busy.rows(joined) == [("double", "small", 0.000125, 0.25, "so so")], "no feedback was written")
