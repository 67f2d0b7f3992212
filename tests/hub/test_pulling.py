"""/api/pull on a real server, and a hub that fails: what the client is told, and that the log stays quiet."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from penstock.repository import pulling
from tests import servers
from tests.hub_server import Hub, Trouble
from tests.repository import ggufs
from tests.servers import Server, eventually

FILE = "small-Q8_0.gguf"
MODEL = "hf:org/small-GGUF"


@pytest.fixture
def server(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that pulls from the hub, which has one model."""
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    hub.add("org/small-GGUF", {FILE: ggufs.gguf()})
    with servers.configured({"moody": servers.moody()}) as running:
        yield running


def quiet(server: Server) -> None:
    """The log has no traceback, also after the server has ended, which lets go of everything."""
    server.end()
    assert "Traceback" not in server.log()
    assert "never retrieved" not in server.log()


def test_a_hub_that_fails_in_the_middle(hub: Hub, server: Server) -> None:
    hub.troubles[FILE] = Trouble(status=500)
    answer = server.ask("POST", "/api/pull", {"model": MODEL, "stream": False})
    assert (answer.status, answer.json()["code"]) == (502, "provider_failed")
    lines = server.ask("POST", "/api/pull", {"model": MODEL}).body.splitlines()
    assert "the hub answered 500" in json.loads(lines[-1])["error"]
    hub.troubles.clear()
    assert server.ask("POST", "/api/pull", {"model": MODEL, "stream": False}).json() == {"status": "success"}
    quiet(server)


@contextmanager
def pull(server: Server, name: str) -> Iterator[http.client.HTTPResponse]:
    """A stream of reports."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/api/pull", json.dumps({"model": name}))
    try:
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def stalling(hub: Hub, count: int) -> list[str]:
    """Models that begin to come and then do not."""
    for number in range(count):
        hub.add(f"org/m{number}-GGUF", {f"m{number}-Q8_0.gguf": ggufs.gguf()})
        hub.troubles[f"m{number}-Q8_0.gguf"] = Trouble(stall=100)
    return [f"hf:org/m{number}-GGUF" for number in range(count)]


def test_many_at_once(hub: Hub, server: Server) -> None:
    names = stalling(hub, pulling.AT_ONCE + pulling.WAITING)
    before = len(servers.children(server.pid))
    with ExitStack() as pulls:
        streams = [pulls.enter_context(pull(server, name)) for name in names]
        assert all(json.loads(stream.readline()) == {"status": "pulling manifest"} for stream in streams)
        refused = server.ask("POST", "/api/pull", {"model": MODEL})
        servers.refused(refused, 503)
        assert refused.json()["code"] == "overloaded"
        assert int(refused.headers["retry-after"]) > 0
        assert json.loads(streams[-1].readline()) == {"status": "waiting for other downloads"}
        assert len(servers.children(server.pid)) == before + pulling.AT_ONCE
    servers.eventually(lambda: len(servers.children(server.pid)) == before, "downloads go on, or one began", 10)
    assert server.ask("POST", "/api/pull", {"model": MODEL, "stream": False}).json() == {"status": "success"}
    assert len({asked.path for asked in hub.asked if asked.path.startswith("/cdn/")}) == pulling.AT_ONCE + 1
    quiet(server)


def test_a_server_that_stops_does_not_wait_for_downloads(hub: Hub, server: Server) -> None:
    names = stalling(hub, pulling.AT_ONCE + 1)
    with ExitStack() as pulls:
        streams = [pulls.enter_context(pull(server, name)) for name in names]
        assert all(json.loads(stream.readline()) == {"status": "pulling manifest"} for stream in streams)
        assert all(json.loads(stream.readline())["total"] > 100 for stream in streams[: pulling.AT_ONCE])
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert [json.loads(stream.read().splitlines()[-1])["code"] for stream in streams] == ["draining"] * len(names)
        assert server.process.wait(20) == 0
        assert time.monotonic() - begun < 10, "it waits for a download"
    quiet(server)


def test_a_client_that_leaves(hub: Hub, server: Server) -> None:
    hub.troubles[FILE] = Trouble(stall=100)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/api/pull", json.dumps({"model": MODEL}))
    with connection.getresponse() as response:
        assert json.loads(response.readline()) == {"status": "pulling manifest"}
        assert json.loads(response.readline())["total"] > 100
        children = len(servers.children(server.pid))
    connection.close()
    eventually(lambda: len(servers.children(server.pid)) < children, "the download goes on", 10)
    server.is_well()
    quiet(server)


def test_a_hub_that_is_away_may_come_back(hub: Hub, server: Server) -> None:
    hub.stop()
    answer = server.ask("POST", "/api/pull", {"model": MODEL, "stream": False})
    servers.refused(answer, 502)
    assert "try again" in answer.json()["error"]
    assert int(answer.headers["retry-after"]) > 0
    last = json.loads(server.ask("POST", "/api/pull", {"model": MODEL}).body.splitlines()[-1])
    assert (last["code"], last["error"]) == ("provider_failed", answer.json()["error"])
    quiet(server)


def test_a_model_that_is_not_there_is_the_clients_mistake(server: Server) -> None:
    servers.refused(server.ask("POST", "/api/pull", {"model": "hf:org/absent", "stream": False}), 400)
    servers.refused(server.ask("POST", "/api/pull", {"model": "absent", "stream": False}), 400)


def test_the_command_says_to_try_again(hub: Hub, tmp_path: Path) -> None:
    hub.stop()
    command = (sys.executable, "-m", "penstock.cli.main", "pull", MODEL)
    environment = {**os.environ, "PENSTOCK_CACHE": str(tmp_path / "cache")}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert ended.returncode == 1  # not 2: nothing has to be asked otherwise
    assert "the hub cannot be reached for org/small-GGUF" in ended.stderr
    assert ended.stderr.endswith("then try again\n")
