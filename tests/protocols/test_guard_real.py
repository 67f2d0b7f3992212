"""The keys of a real database at every door, and in every header that clients send them in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.admission.keys.guard import KeyGuard
from penstock.admission.keys.store import KeyStore
from penstock.storage.database import Database
from tests.protocols.doors import Doors, body, header, view

ROWS = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()
PROBES = {"/livez", "/readyz", "/health", "/v2/health/live", "/v2/health/ready"}


@dataclass
class Locked:
    """Doors behind a guard, and its keys: for one model, to look, and of somebody who lost it."""

    doors: Doors
    few: str
    looks: str
    revoked: str


@contextmanager
def locked(folder: Path) -> Iterator[Locked]:
    """Doors behind the keys of a new database."""
    database = Database(f"sqlite:///{folder}/penstock.db")
    store = KeyStore(database)
    _, few = store.create("acme", verbs=("infer", "read"), routes=("iris",))
    _, looks = store.create("acme", verbs=("read",))
    lost, revoked = store.create("acme")
    store.revoke(lost.id)
    guard = KeyGuard(store, public=False)
    asyncio.run(guard.start())
    try:
        yield Locked(Doors(view("iris"), view("other"), guard=guard), few, looks, revoked)
    finally:
        asyncio.run(guard.stop())
        database.close()


def test_no_door_opens_without_a_key_or_with_one_that_is_no_more(tmp_path: Path) -> None:
    with locked(tmp_path) as house:
        secret = house.revoked.rpartition("-")[2]
        for shown in ({}, {"authorization": f"Bearer {house.revoked}"}, {"x_api_key": house.few[:-1]}):
            for method, pattern, _ in house.doors.routes.all():
                path = pattern.replace("{}", "iris") or "/"
                answer = house.doors.ask(method, path, b"", **shown)
                assert answer.status == (200 if path in PROBES else 401), path
                assert secret.encode() not in body(answer)
        assert not house.doors.echo.requests


@pytest.mark.parametrize("name", ["authorization", "x_api_key", "api_key"])
def test_a_key_opens_what_it_is_for_and_nothing_else(tmp_path: Path, name: str) -> None:
    with locked(tmp_path) as house:
        few, looks = ({name: f"Bearer {key}" if name == "authorization" else key} for key in (house.few, house.looks))
        assert house.doors.ask("POST", "/models/iris/predict", ROWS, **few).status == 200
        assert house.doors.ask("POST", "/models/other/predict", ROWS, **few).status == 403
        assert house.doors.ask("POST", "/models/iris/predict", ROWS, **looks).status == 403
        assert house.doors.ask("POST", "/v2/repository/models/iris/unload", b"", **few).status == 403
        listed = json.loads(body(house.doors.ask("GET", "/v1/models", **few)))["data"]
        assert [model["id"] for model in listed] == ["iris"]
        assert house.doors.lifecycle.asked == []
        [request] = house.doors.echo.requests
        assert (request.tenant, request.principal.tenant) == ("acme", "acme")


def test_two_keys_are_none(tmp_path: Path) -> None:
    with locked(tmp_path) as house:
        both = {"authorization": f"Bearer {house.looks}", "x_api_key": house.few}
        answer = house.doors.ask("POST", "/models/iris/predict", ROWS, **both)
        assert (answer.status, header(answer, "www-authenticate")) == (401, 'Bearer realm="penstock"')


def test_a_server_without_keys_asks_for_none(tmp_path: Path) -> None:
    guard = KeyGuard(None, public=False)
    asyncio.run(guard.start())
    doors = Doors(view("iris"), guard=guard)
    assert doors.ask("POST", "/models/iris/predict", ROWS).status == 200
    told = json.loads(body(doors.ask("GET", "/health")))
    assert [model["name"] for model in told["models"]] == ["iris"]
    asyncio.run(guard.stop())
