"""APGR and CPT on orders whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.routing.complexity.judge import judge


def test_a_perfect_order_closes_the_gap_first() -> None:
    gain = np.array([1.0] * 20 + [0.0] * 80)
    found = judge(gain, gain)
    assert found.apgr == pytest.approx(0.9)
    assert (found.cpt50, found.cpt80) == (0.10, 0.16)
    assert judge(-gain, gain).apgr == pytest.approx(0.1)


def test_equal_scores_are_chance_whatever_their_order() -> None:
    gain = np.array([1.0] * 20 + [0.0] * 80)
    assert judge(np.zeros(100), gain).apgr == pytest.approx(0.5)
    assert judge(np.zeros(100), gain[::-1]).cpt50 == pytest.approx(0.5)


def test_chance_is_a_half() -> None:
    rng = np.random.default_rng(0)
    gain = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.6, 0.3], size=20_000)
    assert judge(rng.random(20_000), gain).apgr == pytest.approx(0.5, abs=0.02)


def test_without_a_gap_there_is_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="no better"):
        judge(np.arange(3.0), np.zeros(3))
