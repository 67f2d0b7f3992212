"""Routes where a person looks for them: at the start of a server, in `config check` and in `ps`; and lines to paste."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.admission.keys.store import KeyStore
from penstock.cli.config import examined
from penstock.cli.table import examples
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature
from penstock.routing.settings import RouteSettings
from penstock.storage.database import Database
from tests.cli.person import COMMAND, environment
from tests.servers import MOODY

MODELS = {"small": {"source": MOODY}, "premium": {"source": MOODY}, "own": {"source": MOODY}}
ROUTES = {"assistant": {"models": ["small", "premium"], "policy": "least_busy"}}
LAST = "Ctrl-C stops it"


@dataclass
class Started:
    """A server with a key. `shown`: what a person saw at its start."""

    shown: str
    env: dict[str, str]

    @property
    def lines(self) -> list[str]:
        """The lines to paste."""
        return [line for line in self.shown.splitlines() if line.startswith("curl ")]


def configured(folder: Path) -> Path:
    file = folder / "penstock.yaml"
    state = {"url": f"sqlite:///{folder}/penstock.db"}
    file.write_text(yaml.safe_dump({"models": MODELS, "routes": ROUTES, "state": state}, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("routes")
    database = Database(f"sqlite:///{folder}/penstock.db")
    _, key = KeyStore(database).create("acme", verbs=["infer", "read", "metrics"])
    database.close()
    env = environment(folder / "home", NO_COLOR="1")
    command = [*COMMAND, "serve", str(configured(folder)), "--port", "0"]
    with (folder / "log").open("wb") as log, (folder / "out").open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=log, env=env)
    try:
        shown = _until_last(server, folder / "out", folder / "log")
        url = next(word for word in shown.split() if word.startswith("http://"))
        yield Started(shown, {**env, "PENSTOCK_URL": url, "PENSTOCK_API_KEY": key})
    finally:
        server.terminate()
        server.wait(30)


def _until_last(server: subprocess.Popen[bytes], out: Path, log: Path) -> str:
    until = time.monotonic() + 60
    while LAST not in (shown := out.read_text()):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    return shown


def penstock(*arguments: str, env: dict[str, str]) -> str:
    said = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=env)
    assert said.returncode == 0, said
    return said.stdout


def test_a_server_shows_its_routes_at_the_start(started: Started) -> None:
    assert "assistant least_busy small, premium" in " ".join(started.shown.split())


def test_lines_to_paste_ask_the_route_and_what_is_behind_none(started: Started) -> None:
    paths = [line.split()[1].partition("/models")[2] for line in started.lines]
    assert paths == ["/assistant/predict", "/own/predict"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="lines for curl")
def test_lines_to_paste_work_as_they_are_where_a_key_is_needed(started: Started) -> None:
    assert "PENSTOCK_API_KEY (penstock keys create TENANT makes one)" in started.shown
    for line in started.lines:
        quiet = line.replace("curl ", "curl -s ", 1)
        said = subprocess.run(["sh", "-c", quiet], capture_output=True, timeout=30, env=started.env, check=True)
        assert json.loads(said.stdout)["outputs"] == [0], said


def test_ps_shows_routes(started: Started) -> None:
    assert "assistant least_busy small, premium" in " ".join(penstock("ps", env=started.env).split())
    (route,) = json.loads(penstock("ps", "--json", env=started.env))["routes"]
    assert route == {"name": "assistant", "policy": "least_busy", "models": ["small", "premium"], "state": "READY"}


def test_config_check_names_routes(tmp_path: Path) -> None:
    file, env = str(configured(tmp_path)), dict(os.environ)
    right = f"{file} is right: small, premium, own; routes: assistant\n"
    assert penstock("config", "check", file, env=env) == right
    assert json.loads(penstock("config", "check", file, "--json", env=env))["routes"] == ["assistant"]


def test_an_estimate_that_cannot_be_read_is_found_by_config_check(tmp_path: Path) -> None:
    route = {"policy": "complexity", "models": ["a", "b"], "estimator": "nope.json"}
    models = {name: {"source": f"http://127.0.0.1:9/v1#{name}"} for name in "ab"}
    file = tmp_path / "penstock.yaml"
    file.write_text(json.dumps({"models": models, "routes": {"assistant": route}}))
    found, config = examined(file)
    assert config is not None
    assert [problem.path for problem in found] == ["routes.assistant.estimator"]
    assert "nope.json" in found[0].message


@dataclass
class Shown:
    """A model of one version, ready."""

    name: str
    task: str = ""

    def __getattr__(self, name: str) -> Any:
        known = {"spec": ModelSpec(name=self.name, runtime="fake", path=""), "signature": Signature((), task=self.task)}
        return known[name]


def test_routes_to_generated_text_come_first_and_without_keys_nothing_is_shown() -> None:
    models = [Shown("iris"), Shown("tiny", "generation"), Shown("large", "generation"), Shown("wine")]
    routes = {
        "flowers": RouteSettings(models=("iris",)),
        "gone": RouteSettings(models=("nobody",)),
        "assistant": RouteSettings(models=("tiny@1",), fallback=("large", "rule")),
    }
    lines = examples(models, "http://h", routes)
    assert ['"model": "assistant"' in lines[0], "/flowers/" in lines[1], "/wine/" in lines[2]] == [True] * 3
    assert len(lines) == 3
    assert "Authorization" not in "".join(lines)
    assert len(examples(models, "http://h")) == 4
