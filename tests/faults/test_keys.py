"""Keys on a real server: tricks with SQL, headers and paths; nothing that knows a key tells it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.admission.keys.store import KeyStore
from penstock.client import Client
from penstock.core.errors import Unauthenticated
from penstock.storage.database import Database
from tests.servers import (
    COMMAND,
    Answer,
    Server,
    configured,
    eventually,
    moody,
    predict_bytes,
    read_all,
    refused,
    refused_raw,
    request,
    status_of,
)
from tests.services import running_postgres

ASKING = str(Path(__file__).parents[1] / "fixtures" / "asking.py")
FORGED = "pst-" + "a" * 12 + "-" + "A" * 43


@dataclass
class Locked:
    """A server that asks for keys. `all`: one with every verb; `few`: for one model; `own`: of who started it."""

    server: Server
    store: KeyStore
    folder: Path
    all: str
    few: str
    own: str

    def ask(self, method: str, path: str, body: object = None, key: str = "", **headers: str) -> Answer:
        """One request with a key."""
        shown = {"Authorization": f"Bearer {key or self.all}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.server.ask(method, path, body, {**shown, **named})

    def predict(self, value: float, model: str = "moody", key: str = "") -> Answer:
        """One row."""
        return self.ask("POST", f"/models/{model}/predict", {"inputs": [value]}, key)

    def comments(self) -> list[str]:
        """What the ledger has of feedback."""
        with sqlite3.connect(self.folder / "penstock.db") as connection:
            found = [comment for (comment,) in connection.execute("SELECT comment FROM penstock_feedback")]
        connection.close()
        return found

    def is_well(self) -> None:
        """Asserts a normal answer to a normal request, and that the keys are as they were."""
        answer = self.predict(21)
        assert (answer.status, answer.json()["outputs"]) == (200, [42])
        assert {key.tenant for key in self.store.all()} >= {"acme", "beta"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("keys")
    database = Database(f"sqlite:///{folder}/penstock.db")
    store = KeyStore(database)
    _, every = store.create("acme", verbs=["infer", "read", "metrics", "manage"])
    _, few = store.create("beta", routes=["moody"])
    own = FORGED.replace("A", "B")
    models = {
        "moody": moody(),
        "other": moody(),
        "asking": {"source": f"{ASKING}:quadruple", "needs": ["moody"]},
        "trespass": {"source": f"{ASKING}:trespass", "needs": ["moody"]},
        "keys": {"source": f"{ASKING}:keys"},
    }
    os.environ["PENSTOCK_API_KEY"] = own
    try:
        state = {"url": f"sqlite:///{folder}/penstock.db", "rows_per_minute": 1_000_000}
        with configured(models, "--log-level", "debug", state=state, http={"access_log": True}) as server:
            yield Locked(server, store, folder, every, few, own)
    finally:
        del os.environ["PENSTOCK_API_KEY"]
        database.close()


@pytest.fixture(autouse=True)
def ends_locked_and_well(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each case ends with a normal answer to who has a key, and none to who has not."""
    yield
    if "locked" in request.fixturenames:
        found: Locked = request.getfixturevalue("locked")
        found.is_well()
        refused(found.server.predict(21), 401)


# --- tricks


@pytest.mark.parametrize(
    "key",
    [
        "' OR '1'='1",
        "pst-aaaaaaaaaaaa-' OR 1=1 --",
        "'; DROP TABLE penstock_keys; --",
        "pst-%-%",
        "pst-____________-___________________________________________",
        'pst-a"; UPDATE penstock_keys SET revoked_at = NULL; --',
        "null",
        "undefined",
        "*",
        "pst-" + "9" * 5000,
        "{{7*7}}",
        "${jndi:ldap://x}",
        "../../penstock.db",
    ],
)
@pytest.mark.parametrize("header", ["Authorization", "x-api-key", "api-key"])
def test_sql_and_other_languages_in_a_key(locked: Locked, header: str, key: str) -> None:
    value = f"Bearer {key}" if header == "Authorization" else key
    answer = locked.server.ask("POST", "/models/moody/predict", {"inputs": [1.0]}, {header: value})
    refused(answer, 401)
    assert key not in answer.body.decode()
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_parts_of_a_good_key_open_nothing(locked: Locked) -> None:
    key, secret = locked.all[:16], locked.all[17:]
    other = locked.few
    for wrong in (
        key,
        f"{key}-",
        secret,
        f"{key}-{'A' * 43}",
        f"{key}-{other[17:]}",
        f"{other[:16]}-{secret}",
        locked.all[:-1],
        locked.all + "A",
        locked.all.upper(),
        locked.all.replace("pst-", "pst_"),
        locked.all + "," + locked.all,
        FORGED,
        locked.own,
    ):
        refused(locked.ask("GET", "/models", key=wrong), 401)


@pytest.mark.parametrize(
    "headers",
    [
        ["Authorization: Basic {key}"],
        ["Authorization: Digest {key}"],
        ["Authorization: {key}"],
        ["Authorization: Bearer"],
        ["Authorization: BearerX{key}"],
        ["Authorization: Bearer {key} {key}"],
        ["Authorization: Bearer {key}", "Authorization: Bearer {key}"],
        ["Authorization: Bearer {forged}", "x-api-key: {key}"],
        ["Authorization: Bearer {key}", "x-api-key: {forged}"],
        ["Authorization: Bearer {key}", "api-key: {forged}"],
        ["Authorization: Bearer \xff{key}"],
        ["Authorization\xa0: Bearer {key}"],
        ["x_api_key: {key}"],
        ["X-Api-Key-: {key}"],
        ["Proxy-Authorization: Bearer {key}"],
        ["X-Forwarded-Authorization: Bearer {key}"],
        ["X-Original-Authorization: Bearer {key}"],
        ["Cookie: authorization=Bearer {key}; x-api-key={key}"],
        ["X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"],
        ["X-Tenant: acme", "X-Penstock-Tenant: acme", "X-Remote-User: acme"],
        ["X-HTTP-Method-Override: GET", "X-Original-URL: /livez", "X-Rewrite-URL: /livez"],
        ["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"],
    ],
)
def test_tricks_with_headers(locked: Locked, headers: list[str]) -> None:
    lines = [header.format(key=locked.all, forged=FORGED) for header in headers]
    refused_raw(locked.server.raw(predict_bytes(1.0, *lines, "Connection: close")), 400, 401)


@pytest.mark.parametrize(
    "path",
    [
        "/models?api_key={key}",
        "/models?key={key}&access_token={key}",
        "/{key}/models",
        "http://localhost/models",
        "http://{key}@localhost/models",
        "//models",
        "/models/",
        "/./models",
        "/livez/../models",
        "/livez/%2e%2e/models",
        "/livez;/models",
        "/livez/models",
        "/%6dodels",
        "/MODELS",
        "/models%00",
        "/livez?/models",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_tricks_with_paths(locked: Locked, method: str, path: str) -> None:
    said = locked.server.raw(request(method, path.format(key=locked.all), b"", "Connection: close"))
    if path.startswith("/livez?"):
        assert status_of(said) in (200, 401, 405)
        assert b"moody" not in said
    else:
        assert status_of(said) in (400, 401, 404), said
        assert locked.all.encode() not in said


@pytest.mark.parametrize("host", ["localhost/livez?", "localhost/livez#", "localhost?/livez", "localhost\\livez", "*"])
def test_the_host_moves_no_path(locked: Locked, host: str) -> None:
    head = f"GET /models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    refused_raw(locked.server.raw(head.encode()), 400, 401, 403)


def test_a_key_is_for_its_request_and_not_for_the_connection(locked: Locked) -> None:
    with locked.server.connect() as sock:
        good = predict_bytes(1.0, f"Authorization: Bearer {locked.all}")
        sock.sendall(good + predict_bytes(1.0) + good + predict_bytes(1.0, "Connection: close"))
        said = read_all(sock)
    assert [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]] == [200, 401, 200, 401]


def test_a_key_after_the_body_is_none(locked: Locked) -> None:
    head = b"POST /models/moody/predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close"
    trailer = b"0\r\nAuthorization: Bearer " + locked.all.encode() + b"\r\n\r\n"
    body = json.dumps({"inputs": [1.0]}).encode()
    refused_raw(locked.server.raw(head + b"\r\n\r\n%x\r\n%s\r\n" % (len(body), body) + trailer), 401)


# --- what keys allow


def test_a_key_for_one_model_sees_and_asks_no_other(locked: Locked) -> None:
    assert locked.predict(2, key=locked.few).json()["outputs"] == [4]
    for name in ("other", "asking", "no-such-model"):
        answer = locked.predict(2, name, key=locked.few)
        refused(answer, 403)
        assert name in answer.json()["error"]["message"] if isinstance(answer.json()["error"], dict) else True
    listed = locked.ask("GET", "/v1/models", key=locked.few).json()["data"]
    assert [model["id"] for model in listed] == ["moody"]
    refused(locked.ask("POST", "/v2/repository/models/moody/unload", {}, key=locked.few), 403)
    refused(locked.ask("GET", "/metrics", key=locked.few), 403)


def test_who_watches_needs_no_key(locked: Locked) -> None:
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
        assert locked.server.ask("GET", path).status == 200


def test_keys_made_rotated_and_revoked_count_within_seconds(locked: Locked) -> None:
    key, text = locked.store.create("gamma")
    eventually(lambda: locked.predict(1, key=text).status == 200, "a new key must count")
    rotated = locked.store.rotate(key.id)
    eventually(lambda: locked.predict(1, key=text).status == 401, "a rotated key's old secret must end")
    assert locked.predict(1, key=rotated).status == 200
    locked.store.revoke(key.id)
    eventually(lambda: locked.predict(1, key=rotated).status == 401, "a revoked key must end")


# --- models that ask models


def test_models_that_need_others_go_on_working(locked: Locked) -> None:
    assert locked.predict(3, "asking").json()["outputs"] == [12]


def test_their_key_is_for_what_they_need(locked: Locked) -> None:
    assert locked.predict(3, "trespass").json()["outputs"] == ["Forbidden"]


def test_other_models_get_no_key_and_not_the_persons(locked: Locked) -> None:
    assert locked.predict(3, "keys").json()["outputs"] == [""]


# --- clients and commands


def test_the_client_shows_its_key(locked: Locked) -> None:
    url = f"http://127.0.0.1:{locked.server.port}"
    with Client(url, key=locked.few) as client:
        assert client.predict([2.0], model="moody") == [4]
    with Client(url, key="") as client, pytest.raises(Unauthenticated, match="API key"):
        client.predict([2.0], model="moody")


def test_commands_take_the_key_from_the_environment(locked: Locked) -> None:
    command = [sys.executable, "-m", "penstock.cli.main", "ps", "--json"]
    told = {**os.environ, "PENSTOCK_URL": f"http://127.0.0.1:{locked.server.port}"}
    good = subprocess.run(command, env={**told, "PENSTOCK_API_KEY": locked.all}, capture_output=True, text=True)
    assert "moody" in good.stdout, good.stderr
    none = subprocess.run(command, env={**told, "PENSTOCK_API_KEY": ""}, capture_output=True, text=True)
    assert none.returncode == 1
    assert "PENSTOCK_API_KEY" in none.stderr
    assert "Traceback" not in none.stderr


# --- nothing tells a key


def test_no_key_is_told(locked: Locked) -> None:
    """Logs, metrics, error bodies, and the database's files, after requests of every kind."""
    wrong = locked.all[:17] + "Z" * 43
    said: list[bytes] = []
    for key in (locked.all, locked.few, wrong, FORGED):
        said += [locked.predict(value, key=key).body for value in (1.0, 888.0, "text", 2)]  # type: ignore[arg-type]
        said += [locked.predict(1.0, "no-such-model", key=key).body, locked.ask("GET", "/nowhere", key=key).body]
        said += [locked.ask("POST", "/v1/chat/completions", {"model": key}, key=key).headers["x-request-id"].encode()]
        said += [locked.server.ask("GET", "/models", headers={"x-api-key": key, "api-key": key}).body]
        told = {"request": locked.predict(1.0).headers["x-request-id"], "score": 0.5, "comment": f"my key is {key}"}
        assert locked.ask("POST", "/v1/feedback", told).status < 300
        # Who writes a key where a name belongs hears it back; nobody else does.
        assert locked.predict(1.0, key).status == 404
    said += [locked.ask("GET", path).body for path in ("/metrics", "/models", "/openapi.json", "/docs", "/v1/models")]
    eventually(lambda: len(locked.comments()) == 4, "the ledger must have what was said")
    said += [file.read_bytes() for file in locked.folder.iterdir()]
    said += [locked.server.log().encode()]
    told = b"".join(said)
    for key in (locked.all, locked.few, wrong, FORGED, locked.own):
        assert key.encode() not in told
        assert key[-43:].encode() not in told
    assert b"key_refused" in locked.server.log().encode()


@pytest.mark.parametrize("before", [140, 160, 175])
def test_half_a_key_is_none_either(locked: Locked, before: int) -> None:
    """The log cuts long paths, perhaps in the middle of a key."""
    path = "/" + "a" * (before - 1)
    refused(locked.ask("GET", path + locked.all), 404)
    eventually(lambda: f"{path}pst-" in locked.server.log(), "the log must have the path")
    assert locked.all[:19] not in locked.server.log()


# --- without keys


def ended(*arguments: str, folder: Path) -> str:
    """What a server says that does not start."""
    environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
    done = subprocess.run(
        [*COMMAND, *arguments, "--port", "0"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_are_not_served_without_keys(tmp_path: Path, host: str) -> None:
    said = ended(moody()["source"], "--host", host, folder=tmp_path)
    assert "penstock keys create" in said
    assert "http.open: true" in said


def test_they_are_with_a_key(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    _, text = KeyStore(database).create("acme")
    database.close()
    with configured(
        {"moody": moody()}, "--host", "0.0.0.0", state={"url": f"sqlite:///{tmp_path}/penstock.db"}
    ) as server:
        refused(server.predict(1), 401)
        body = {"inputs": [21]}
        answer = server.ask("POST", "/models/moody/predict", body, {"x-api-key": text})
        assert answer.json()["outputs"] == [42]


def test_they_are_where_that_is_wanted_and_the_log_says_so() -> None:
    with configured({"moody": moody()}, "--host", "0.0.0.0", http={"open": True}) as server:
        server.is_well()
        assert "open_to_anybody" in server.log()


def test_the_first_key_closes_a_running_server(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    with configured({"moody": moody()}, state={"url": f"sqlite:///{tmp_path}/penstock.db"}) as server:
        server.is_well()
        _, text = KeyStore(database).create("acme")
        eventually(lambda: server.predict(1).status == 401, "it must ask for keys")
        answer = server.ask("POST", "/models/moody/predict", {"inputs": [21]}, {"api-key": text})
        assert answer.json()["outputs"] == [42]
    database.close()


def test_the_port_is_not_open_while_keys_are_read(tmp_path: Path) -> None:
    """A server that cannot read its keys serves nobody."""
    (tmp_path / "penstock.db").write_bytes(b"no database" * 1000)
    config = tmp_path / "penstock.yaml"
    url = f"sqlite:///{tmp_path}/penstock.db"
    config.write_text(json.dumps({"models": {"moody": moody()}, "state": {"url": url}}))
    assert "is no SQLite database" in ended(str(config), folder=tmp_path)


# --- in PostgreSQL


def test_keys_in_postgresql_outlive_its_outage() -> None:
    with running_postgres() as service:
        url = service.new()
        database = Database(url)
        _, text = KeyStore(database).create("acme")
        with configured({"moody": moody()}, state={"url": url}) as server:
            asked = ("POST", "/models/moody/predict", {"inputs": [21]}, {"x-api-key": text})
            assert server.ask(*asked).json()["outputs"] == [42]
            service.stop()
            eventually(lambda: "keys_not_read" in server.log(), "the log must say that the database is away")
            assert server.ask(*asked).json()["outputs"] == [42]
            refused(server.predict(21), 401)
            service.start()
            eventually(lambda: "keys_read_again" in server.log(), "the log must say that it is back")
            assert "penstock@" not in server.log()
        database.close()


def test_a_server_that_cannot_ask_for_its_keys_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "penstock.yaml"
    url = "postgresql://me:hidden@127.0.0.1:1/db"
    config.write_text(json.dumps({"models": {"moody": moody()}, "state": {"url": url}}))
    said = ended(str(config), folder=tmp_path)
    assert "API keys cannot be read from postgresql://127.0.0.1:1/db" in said
    assert "hidden" not in said


# --- feedback, which costs nothing


def test_nobody_floods_the_ledger_with_feedback(tmp_path: Path) -> None:
    state = {"url": f"sqlite:///{tmp_path}/penstock.db", "feedback_per_minute": 6}
    with configured({"moody": moody()}, state=state) as server:
        given = [server.ask("POST", "/v1/feedback", {"request": f"r{n}", "score": 1}) for n in range(3)]
        assert [answer.status for answer in given] == [202, 429, 429]
        assert 5 <= int(given[1].headers["retry-after"]) <= 10
        assert "6 times a minute" in given[1].json()["error"]["message"]
        server.is_well()
