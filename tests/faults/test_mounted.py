"""The app behind somebody else's server: nobody tells it who is let in there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from penstock.admission.keys.store import KeyStore
from penstock.app import App, build
from penstock.config.file import load
from penstock.core.errors import ConfigError
from penstock.storage.database import Database
from tests.protocols.test_asgi import ask, behind_uvicorn
from tests.servers import moody

DOORS = [
    ("GET", "/metrics", None),
    ("GET", "/models", None),
    ("GET", "/nowhere", None),
    ("POST", "/models/moody/predict", {"inputs": [21.0]}),
    ("POST", "/api/pull", {"model": "hf:none/none"}),
    ("POST", "/v2/repository/models/moody/load", {}),
    ("POST", "/v1/feedback", {"request": "a", "score": 1}),
]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    yield KeyStore(database)
    database.close()


def app(folder: Path, **http: Any) -> App:
    """An app with a model and the folder's keys."""
    state = {"url": f"sqlite:///{folder}/penstock.db"}
    (folder / "penstock.yaml").write_text(json.dumps({"models": {"moody": moody()}, "state": state, "http": http}))
    return build(load(folder / "penstock.yaml", {}), folder)


def statuses(port: int, key: str = "") -> list[int]:
    shown = {"Authorization": f"Bearer {key}"} if key else {}
    return [ask(port, method, path, json.dumps(sent).encode(), **shown)[0] for method, path, sent in DOORS]


def test_nobody_comes_in_before_it_has_been_started(store: KeyStore, tmp_path: Path) -> None:
    """A mounted app gets no lifespan, and its owner may forget to start it."""
    _, key = store.create("acme", verbs=["infer", "read", "metrics", "manage"])
    with behind_uvicorn(app(tmp_path).asgi(), lifespan="off") as port:
        assert statuses(port) == statuses(port, key) == [503] * len(DOORS)
        status, said, headers = ask(port, "GET", "/models")
        assert (status, headers["retry-after"]) == (503, "1")
        assert b"start_models" not in said
        assert b"not ready" in said
        assert ask(port, "GET", "/livez")[0] == 200
        for shown in ({}, {"x-api-key": key}):
            assert b"moody" not in ask(port, "GET", "/health", **shown)[1]
            assert ask(port, "POST", "/v1/feedback", b" " * 2**20, **shown)[0] == 503


def test_once_started_it_asks_for_keys(store: KeyStore, tmp_path: Path) -> None:
    _, key = store.create("acme")
    with behind_uvicorn(app(tmp_path).asgi()) as port:
        assert statuses(port) == [401] * len(DOORS)
        status, said, _ = ask(port, "POST", "/models/moody/predict", b'{"inputs": [21.0]}', **{"x-api-key": key})
        assert (status, json.loads(said)["outputs"]) == (200, [42])


def test_without_keys_it_does_not_start(tmp_path: Path) -> None:
    """Its server may listen anywhere, whatever `http.host` says; Host is whatever a client writes."""
    mounted = app(tmp_path, allowed_hosts=["localhost"])
    served = mounted.asgi()
    with pytest.raises(ConfigError, match=r"penstock keys create TENANT; or allow it knowingly with http\.open: true"):
        asyncio.run(mounted.start_models())
    server = uvicorn.Server(uvicorn.Config(app(tmp_path).asgi(), port=0, log_level="critical"))
    with pytest.raises(SystemExit):
        asyncio.run(server.serve())
    with behind_uvicorn(served, lifespan="off") as port:
        assert ask(port, "GET", "/models", Host="localhost")[0] == 503


def test_it_is_open_where_that_is_wanted_but_lets_nobody_change_what_is_served(tmp_path: Path) -> None:
    with behind_uvicorn(app(tmp_path, open=True).asgi()) as port:
        assert statuses(port)[:4] == [200, 200, 404, 200]
        assert statuses(port)[4:6] == [403, 403]


def test_what_clients_may_change_is_said_in_the_settings(tmp_path: Path) -> None:
    with behind_uvicorn(app(tmp_path, open=True, lifecycle=True).asgi()) as port:
        assert ask(port, "POST", "/v2/repository/models/moody/load")[0] == 200
