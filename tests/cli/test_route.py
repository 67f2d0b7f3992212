"""`penstock route` as a person runs it: what a question looks like, and a calibration by file and by ledger."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.core.ledger import Entry, Feedback
from penstock.routing.complexity.estimate import Estimator
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.ledger.writer import LedgerWriter

YAML = """
models:
  chat: {source: ./chat.gguf}
  premium: {source: "openai:gpt-5-mini"}
routes:
  plain: {models: [chat]}
  assistant: {policy: complexity, models: [chat, premium], strong_share: 0.4, fallback: [chat]}
"""
EASY, HARD = (
    "What is the capital of France?",
    "If no a is b unless some c is not d, which of 3 statements must be true?",
)


def route(*arguments: str, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock.cli.main", "route", *arguments]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment, **more)


def said(*arguments: str, folder: Path, **more: Any) -> dict[str, Any]:
    done = route(*arguments, "--json", folder=folder, **more)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "penstock.yaml").write_text(YAML)
    return tmp_path


def test_a_question_is_explained(folder: Path) -> None:
    done = route("explain", HARD, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "conditions" in done.stdout
    assert "this kind of question is known" in done.stdout
    assert "route assistant, policy complexity: premium → chat   (hard (" in done.stdout


def test_easy_and_unknown_ones_are_decided(folder: Path) -> None:
    assert said("explain", EASY, folder=folder)["models"] == ["chat", "premium"]
    unknown = said("explain", "Write a poem about the sea", folder=folder)
    assert unknown["models"] == ["premium", "chat"]
    assert unknown["unsure_because"] == ["asks for something to be made (write)"]
    assert "not a kind of question" in unknown["why"]


def test_wishes_count(folder: Path) -> None:
    assert said("explain", EASY, "--quality", "1", folder=folder)["models"][0] == "premium"
    assert said("explain", EASY, "--route", "plain", folder=folder)["models"] == ["chat"]
    assert route("explain", EASY, "--budget", "lots", folder=folder).returncode == 2


def test_it_works_without_a_file_and_from_a_pipe(tmp_path: Path) -> None:
    found = said("explain", "-", "--share", "0.5", folder=tmp_path, input=EASY)
    assert found["models"][0] == "the small model"
    assert said("explain", EASY, "--share", "1", folder=tmp_path)["models"][0] == "the strong model"
    assert "no question" in route("explain", " ", folder=tmp_path).stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["explain", EASY, "--route", "none"], "it has: plain, assistant"),
        (["calibrate", "--log", "none.csv"], "No such file"),
        (["calibrate", "--model", "chta"], "did you mean chat"),
        (["calibrate"], "at least 100 rated answers of the small model; there are 0"),
    ],
)
def test_mistakes_are_named(folder: Path, arguments: list[str], says: str) -> None:
    done = route(*arguments, folder=folder)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def opposite(count: int) -> list[tuple[str, float]]:
    """Here short questions are what the small model fails at."""
    rng = random.Random(3)
    texts = [(EASY, 0.1) if rng.random() < 0.5 else (HARD, 0.9) for _ in range(count)]
    return [(text, float(rng.random() < good)) for text, good in texts]


def test_a_calibration_by_file_turns_the_decision(folder: Path) -> None:
    with (folder / "log.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["prompt", "score", "model"])
        out.writerows([*((text, score, "chat") for text, score in opposite(300)), (EASY, 1, "premium")])
    done = route("calibrate", "--log", "log.csv", "--model", "chat", "--out", "own.json", folder=folder)
    assert done.returncode == 0, done.stderr
    assert "300 rated answers" in done.stdout
    assert "Written to own.json" in done.stdout
    (folder / "penstock.yaml").write_text(YAML.replace("strong_share: 0.4", "strong_share: 0.6, estimator: own.json"))
    assert said("explain", EASY, folder=folder)["models"][0] == "premium"
    assert said("explain", HARD, folder=folder)["models"][0] == "chat"


def test_noise_is_not_written(folder: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": text, "score": rng.random()} for text, _ in opposite(200)]
    (folder / "log.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    found = said("calibrate", "--log", "log.jsonl", "--out", "own.json", folder=folder)
    assert found["better"] == (found["file"] is not None) == (folder / "own.json").exists()
    forced = said("calibrate", "--log", "log.jsonl", "--out", "own.json", "--force", folder=folder)
    assert forced["file"] == "own.json"
    assert Estimator.load(folder / "own.json").artifact.about["calibrated on"] == 200


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("prompt,score\nWhat is it?,7\n", "line 2 of log.csv: a score goes from 0"),
        ("prompt,score\nWhat is it?,\n", "line 2 of log.csv has no score"),
        ("prompt,score\n,1\n", "line 2 of log.csv has no prompt"),
        ('{"score": 1, "prompt": "a"}\n{nonsense\n', "line 2 is no JSON object"),
        ('{"score": 1, "features": "{}"}\n', "no features"),
    ],
)
def test_broken_rows_are_named(folder: Path, content: str, says: str) -> None:
    (folder / "log.csv").write_text(content)
    done = route("calibrate", "--log", "log.csv", folder=folder)
    assert done.returncode == 2
    assert says in done.stderr


async def ledger(folder: Path) -> None:
    """A day of a route that logs features: users rated both models' answers."""
    estimator, database = Estimator.load(), Database("", None)
    writer, now = LedgerWriter(database, StateSettings()), time.time()
    for number, (text, score) in enumerate(opposite(200)):
        for model in ("chat", "premium"):
            writer.record(entry(f"{model}-{number}", now, model, estimator.logged(text)))
            writer.feedback(Feedback(f"{model}-{number}", "acme", now, score if model == "chat" else 1.0))
    writer.record(entry("unrated", now, "chat", estimator.logged(EASY)))
    writer.record(entry("nothing-logged", now, "chat", ""))
    writer.feedback(Feedback("nothing-logged", "acme", now, 1.0))
    await writer.stop()


def entry(name: str, now: float, model: str, features: str) -> Entry:
    asked = {"id": name, "at": now, "tenant": "acme", "key": "k", "name": "assistant", "route": "assistant"}
    answered = {"model": model, "version": "1", "why": "easy", "tries": 1, "status": 200, "code": "", "cache": ""}
    counts = dict.fromkeys(("rows", "prompt_tokens", "cached_tokens", "completion_tokens"), 1)
    times = dict.fromkeys(("queue_s", "first_s", "total_s", "busy_s"), 0.1)
    rest = {"degraded": "", "cost": None, "premium": None, "features": features}
    return Entry(**asked, **answered, **counts, **times, **rest)  # type: ignore[arg-type]


def test_a_calibration_by_the_ledger_reads_the_small_models_ratings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    asyncio.run(ledger(folder))
    found = said("calibrate", "--config", "penstock.yaml", "--route", "assistant", "--out", "own.json", folder=folder)
    assert found["answers"] == 200
    assert found["better"]
    own = Estimator.load(folder / "own.json")
    assert own(EASY)[0] < 0.4 < 0.6 < own(HARD)[0]
