"""Whose work an engine's steps were."""

from __future__ import annotations

import pytest

from penstock.core.generation import Generation
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.shares import PROMPT_TOKEN, share


def job(*, prompt: int = 10, choices: int = 1, began: bool = True) -> Job:
    made = Job(Generation(prompt="p", choices=choices), lambda *_: None, lambda *_: None, size=100, prompt=prompt)
    made.first = 1.0 if began else 0.0
    return made


def test_a_step_is_shared_by_answers_and_nothing_is_lost() -> None:
    jobs = [job(), job(choices=3), job(prompt=10, began=False)]
    share(0.8, jobs)
    assert sum(each.busy_s for each in jobs) == pytest.approx(0.8)
    assert jobs[1].busy_s == pytest.approx(3 * jobs[0].busy_s)
    assert jobs[2].busy_s == pytest.approx(10 * PROMPT_TOKEN * jobs[0].busy_s)


def test_a_step_for_nobody_is_nobodys() -> None:
    share(0.8, [])
    idle = job()
    share(0.0, [idle])
    assert idle.busy_s == 0.0
