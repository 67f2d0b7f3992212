"""What the ledger answers, and how `penstock costs` tells it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.core.ledger import Feedback
from penstock.storage.database import Database
from penstock.telemetry.ledger.costs import By, costs
from tests.telemetry.ledger.conftest import NOW, Keep, entry, prediction

DAY = 86_400
MIXED = (
    *(entry(f"s{number}", cost=0.001, premium=0.01) for number in range(8)),
    *(entry(f"b{number}", model="big", cost=0.01, premium=0.01, at=NOW + DAY) for number in range(2)),
    *(entry(f"c{number}", cache="hit", cost=0.0, premium=0.01, tenant="beta") for number in range(10)),
    entry("failed", status=502, code="provider_failed", model="", version="", cost=0.0, premium=None),
    prediction(),
)


def test_money_by_model(keep: Keep, database: Database) -> None:
    keep(*MIXED)
    found = costs(database, "model", NOW - DAY, NOW + 2 * DAY)
    assert [row.name for row in found.rows] == ["big", "small", "-", "iris"]
    big, small, nobody, iris = found.rows
    assert (small.requests, small.kept, small.priced, small.prompt_tokens) == (18, 10, 18, 1800)
    assert small.cost == pytest.approx(0.008)
    assert small.per_1000 == pytest.approx(1000 * 0.008 / 18)
    assert small.saved == pytest.approx(0.18 - 0.008)
    assert (big.saved, big.saved_share) == (0.0, 0.0)
    assert (nobody.requests, nobody.failed) == (1, 1)
    assert (iris.requests, iris.priced, iris.per_1000, iris.saved) == (1, 0, None, None)
    assert found.total.requests == 22
    assert found.total.saved == pytest.approx(0.2 - 0.028)
    assert found.total.saved_share == pytest.approx(0.86)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("tenant", ["acme", "beta"]),
        ("route", ["chat", "-"]),
        ("day", ["2027-01-15", "2027-01-16"]),
        ("version", ["big@1", "small@1", "-", "iris@1"]),
        ("name", ["chat", "iris"]),
        ("key", ["k1"]),
    ],
)
def test_by_everything(keep: Keep, database: Database, by: By, names: list[str]) -> None:
    keep(*MIXED)
    assert [row.name for row in costs(database, by, 0, NOW * 2).rows] == names


def test_spans_and_tenants(keep: Keep, database: Database) -> None:
    keep(*MIXED)
    assert costs(database, "model", NOW + 1, NOW * 2).total.requests == 2
    assert costs(database, "model", 0, NOW).total.requests == 0
    assert costs(database, "model", 0, NOW * 2, "beta").total.requests == 10


def test_quality_beside_money(keep: Keep, database: Database) -> None:
    scores = [Feedback(f"s{number}", "acme", NOW, score) for number, score in enumerate((1.0, 0.5, 0.0, 0.5))]
    shadows = [Feedback(f"b{number}", "acme", NOW, 0.8, "shadow") for number in range(2)]
    strangers = [Feedback("s4", "beta", NOW, 0.0), Feedback("unknown", "acme", NOW, 0.0)]
    keep(*MIXED, *scores, *shadows, *strangers)
    found = costs(database, "model", 0, NOW * 2)
    big, small, *_ = found.rows
    assert (small.score, small.scored, small.agreement) == (0.5, 4, None)
    assert small.per_1000 is not None
    assert small.per_1000_good == pytest.approx(2 * small.per_1000)
    assert (big.score, big.agreement, big.compared) == (None, pytest.approx(0.8), 2)
    assert big.per_1000_good == pytest.approx(10 / 0.8)


def test_an_empty_database_costs_nothing(tmp_path: Path) -> None:
    found = costs(Database(f"sqlite:///{tmp_path / 'none.db'}"), "day", 0, NOW)
    assert (found.rows, found.total.requests, found.total.cost) == ([], 0, 0.0)


def _command(database: Database, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock.cli.main", "costs", "--since", "2027-01-01", "--until", "2027-02-01"]
    state = ["--state", f"sqlite:///{database.shown}"]
    return subprocess.run([*command, *state, *more], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command(keep: Keep, database: Database) -> None:
    keep(*MIXED, Feedback("s1", "acme", NOW, 0.5))
    said = _command(database)
    assert said.returncode == 0, said.stderr
    assert "1 request has no price (" in said.stderr
    line = next(line for line in said.stdout.splitlines() if line.strip().startswith("small"))
    assert line.split()[:7] == ["small", "18", "0", "10", "1,800", "900", "$0.008"]
    assert "0.50 (1)" in line
    told = json.loads(_command(database, "--json", "--by", "day").stdout)
    assert [row["name"] for row in told["rows"]] == ["2027-01-15", "2027-01-16"]
    assert told["total"]["requests"] == 22


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_command_says_what_is_wrong(database: Database) -> None:
    wrong = _command(database, "--by", "colour")
    assert wrong.returncode == 2
    assert "model, version, tenant" in wrong.stderr
    assert _command(database).stderr.startswith("nothing was asked")
    week = _command(database, "--since", "last week")
    assert week.returncode == 2
    assert "no date such as" in week.stderr
