"""The simulation itself: a few hundred seeds, the same every time; and that they reach every corner."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.invariants import RULES, Violation
from tests.simulation.scenario import scenario
from tests.simulation.world import simulate

SEEDS = 1500
CORNERS = {
    "ended result",
    "ended cancelled",
    "ended deadline_exceeded",
    "ended model_failed",
    "ended request_refused",
    "ended worker_lost",
    "refused overloaded",
    "refused draining",
    "refused crash_looping",
    "refused request_refused",
    "refused deadline_exceeded",
    "model names rows",
    "ended bad_input",
    "whole ended bad_input",
    "whole ended result",
    "whole ended model_failed",
    "whole ended cancelled",
    "crash while ready",
    "crash while busy",
    "crash while loading",
    "died while ready",
    "died while busy",
    "died while loading",
    "model raises",
    "hangs",
    "kill",
    "drain",
}


def test_no_invariant_breaks_and_every_corner_is_reached() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += simulate(seed).seen
    assert {corner for corner in CORNERS if seen[corner] < 3} == set()


def test_a_seed_is_the_same_world_every_time() -> None:
    for seed in (3, 30, 293, 1943, 2124):
        assert list(simulate(seed).trace) == list(simulate(seed).trace)


def test_scenarios_differ() -> None:
    assert {scenario(seed).batching.policy for seed in range(50)} == {"dynamic", "static", "none"}
    assert {scenario(seed).replicas for seed in range(100)} == {1, 2, 3, 4}
    assert {scenario(seed).replay for seed in range(50)} == {True, False}


def test_a_violation_says_which_rule() -> None:
    assert str(Violation("own rows", "x")).startswith("own rows: x")
    with pytest.raises(KeyError):
        Violation("no such rule", "x")
    assert all(sentence for sentence in RULES.values())


def test_the_command_ends_with_zero() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", "20", "--first", "7"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert "20 seeds from 7: no violation" in ran.stdout
