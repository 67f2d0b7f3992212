"""Limits of a real server: what is under way counts against budgets by the price, from the first request on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fixtures.moody import SLOW
from tests.servers import Answer, Server, configured, moody


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    budget = {"budget_per_day": 1.0}
    with configured(
        {"small": moody(), "large": moody()},
        routes={"double": {"models": ["small", "large"]}},
        aliases={"best": "double", "stable": "large"},
        prices={"small": {"request": 0.01}, "large": {"request": 0.4}},
        tenants={"*": {"models": dict.fromkeys(("double", "best", "large", "stable"), budget)}},
        state={"url": "none"},
    ) as running:
        yield running


def at_once(server: Server, model: str, count: int = 8) -> list[Answer]:
    """So many slow requests together."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda number: server.predict(SLOW + number / 100, model), range(count)))


@pytest.mark.parametrize("model", ["large", "stable", "double", "best"])
def test_a_dollar_is_not_promised_to_everybody_who_comes_at_once(server: Server, model: str) -> None:
    answers = at_once(server, model)
    taken = [answer for answer in answers if answer.status == 200]
    refused = [answer.json()["error"] for answer in answers if answer.status == 429]
    assert len(taken) + len(refused) == len(answers)
    assert refused, "two of 0.4 fit; a route's are reserved for its dearest model"
    assert {error["code"] for error in refused} == {"quota_exceeded"}
    spent = sum(float(answer.headers["x-penstock-cost"]) for answer in taken)
    assert 0 < spent <= 1.0


def test_a_cheap_model_of_a_route_is_learned(server: Server) -> None:
    for number in range(3):
        server.predict(number, "double")
    assert {answer.status for answer in at_once(server, "double")} == {200}
