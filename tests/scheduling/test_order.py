"""Models that call others: who starts first, who stops last, and that neither waits for the other for ever."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from penstock.core.errors import ConfigError
from penstock.scheduling.order import waves
from tests.servers import COMMAND, Answer, Server, configured, eventually, together

CHAIN = """
import time
import penstock

class Inner(penstock.Model):
    def load(self):
        time.sleep(0.5)

    def predict(self, numbers: list[float]) -> list[float]:
        time.sleep(0.2)
        return [2 * number for number in numbers]

class Outer(penstock.Model):
    def load(self):
        self.server = penstock.Client()
        assert self.server.predict([4], model="inner") == [8]

    def predict(self, numbers: list[float]) -> list[float]:
        time.sleep(0.2)
        return self.server.predict(numbers, model="twice")
"""


def test_what_is_needed_comes_first() -> None:
    needs = {"page": ["search", "prices"], "search": ["embed"], "prices": [], "embed": [], "alone": []}
    assert [sorted(wave) for wave in waves(needs)] == [["alone", "embed", "prices"], ["search"], ["page"]]
    assert waves({}) == []


def test_a_circle_and_a_stranger_are_refused() -> None:
    with pytest.raises(ConfigError, match="in a circle: a"):
        waves({"a": ["b"], "b": ["c"], "c": ["a"]})
    with pytest.raises(ConfigError, match="'a' needs 'z', which is not served"):
        waves({"a": ["z"]})


@contextmanager
def chain(folder: Path, max_in_flight: int) -> Iterator[Server]:
    """Two models, one of which calls the other; the caller is written first."""
    (folder / "chain.py").write_text(CHAIN)
    one_by_one = {"batching": {"max_size": 1}, "example": [1.0]}
    models = {
        "outer": {"source": f"{folder}/chain.py:Outer", "needs": ["inner"], **one_by_one},
        "inner": {"source": f"{folder}/chain.py:Inner", **one_by_one},
    }
    with configured(models, aliases={"twice": "inner"}, admission={"max_in_flight": max_in_flight}) as server:
        yield server


def ask(server: Server, number: int) -> Answer:
    return server.ask("POST", "/models/outer/predict", {"inputs": [number]})


def test_accepted_work_finishes_with_the_models_that_it_calls(tmp_path: Path) -> None:
    answers: list[Answer] = []

    def crowd() -> None:
        answers.extend(together([partial(ask, server, number) for number in range(3)]))

    with chain(tmp_path, 100) as server:
        asking = threading.Thread(target=crowd, daemon=True)
        asking.start()
        eventually(lambda: queued(server) == 2, "nothing waits")
        server.signal(signal.SIGTERM)
        asking.join(30)
        assert [(answer.status, answer.json().get("outputs")) for answer in answers] == [
            (200, [2 * i]) for i in range(3)
        ]
        assert server.process.wait(20) == 0


def queued(server: Server) -> int:
    """How many requests to the caller wait."""
    page = server.ask("GET", "/metrics").body.decode()
    found = re.search(r'queue_depth\{model="outer",version="1"\} (\d+)', page)
    assert found, page
    return int(found[1])


def test_a_full_gate_lets_the_calls_of_accepted_work_pass(tmp_path: Path) -> None:
    with chain(tmp_path, 1) as server:
        assert ask(server, 5).json()["outputs"] == [10]
        assert {answer.status for answer in together([partial(ask, server, i) for i in range(8)])} == {200, 503}


def test_a_model_is_not_loaded_without_those_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "chain.py").write_text(CHAIN.replace("time.sleep(0.5)", "raise ValueError('no weights')"))
    needs = "models:\n  outer: {source: 'chain.py:Outer', needs: [inner]}\n  inner: {source: 'chain.py:Inner'}\n"
    (tmp_path / "penstock.yaml").write_text(needs)
    command = [*COMMAND, str(tmp_path / "penstock.yaml"), "--port", "0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "model 'outer': it needs the model 'inner', which could not be loaded" in ended.stderr
    assert "model 'inner': " in ended.stderr
    assert "no weights" in ended.stderr
