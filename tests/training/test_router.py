"""Training of the complexity router on questions whose rule is known."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penstock.routing.complexity.estimate import Estimator
from penstock.routing.complexity.judge import judge
from training.router import judging, peers
from training.router.data import Labelled, read
from training.router.learn import Sample, learn, sample


@pytest.fixture(scope="module")
def found() -> Sample:
    """Twelve subjects; the small model fails at questions with conditions, and the large one does not."""
    rng, rows = random.Random(0), []
    for number in range(600):
        subject, hard = f"subject{number % 12}", rng.random() < 0.5
        noun = f"{rng.choice(('river', 'market', 'engine', 'treaty'))} of {subject}"
        text = f"If the {noun} is not 3, which of them must be 4?" if hard else f"What is the name of the {noun}?"
        rows.append((subject, text, float(rng.random() < (0.4 if hard else 0.95)), 1.0))
    subject, prompt, small, large = zip(*rows, strict=True)
    return sample(Labelled(np.array(subject), list(prompt), np.array(small), np.array(large)))


def test_subjects_are_never_in_two_folds(found: Sample) -> None:
    fold = judging.folds(found.data.subject)
    assert all(len(set(fold[found.data.subject == name])) == 1 for name in set(found.data.subject))


def test_it_learns_what_holds_for_subjects_it_never_saw(found: Sample) -> None:
    gain = found.data.large - found.data.small
    assert judge(judging.unseen(judging.of_text, found), gain).apgr > 0.65
    low, high = judging.intervals(judging.unseen(judging.of_text, found), gain, found.data.subject, whole=True)["apgr"]
    assert 0.55 < low < high < 0.95


def test_what_is_learned_estimates(found: Sample) -> None:
    estimator = Estimator(learn(found))
    hard = "If the river of subject1 is not 3, which of them must be 4?"
    assert estimator(hard)[0] < 0.6 < 0.85 < estimator("What is the name of the market of subject3?")[0]
    assert estimator(hard)[1]


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_peer_scores_every_question(found: Sample, name: str) -> None:
    if name.startswith("TF-IDF"):
        pytest.importorskip("sklearn")
    scores = peers.PEERS[name](found.data, found.data)
    assert scores.shape == (600,)
    assert np.isfinite(scores).all()


def test_data_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text('subject,prompt,small_correct,large_correct\ngsm8k,"two\nlines, ""quoted""",0,1\n')
    data = read(path)
    assert data.prompt == ['two\nlines, "quoted"']
    assert (data.small[0], data.large[0]) == (0.0, 1.0)


def test_without_data_it_says_what_it_needs() -> None:
    said = subprocess.run([sys.executable, "-m", "training.router"], capture_output=True, text=True, timeout=100)
    assert said.returncode == 2
    assert "one of the arguments --fetch --data is required" in said.stderr
    assert "Traceback" not in said.stderr
