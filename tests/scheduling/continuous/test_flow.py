"""Decisions about language models that the simulation does not draw."""

from __future__ import annotations

import random

from penstock.core.generation import Generation
from penstock.scheduling.continuous.flow import Flow
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.supervision import SupervisionSettings, Supervisor


def test_an_engine_that_hangs_is_killed_although_requests_keep_coming() -> None:
    flow = Flow(FairLine(100, 10**6), Supervisor(1, SupervisionSettings(), 120.0, random.Random(0)))
    flow.slots = 16
    assert flow.decide(0.0).spawn == [0]
    flow.ready(0, 1.0)
    killed = []
    for moment in range(2, 400, 10):
        made = Job(Generation(prompt=str(moment)), lambda *_: None, lambda *_: None, deadline=moment + 30.0)
        flow.submit(made, float(moment))
        if flow.decide(float(moment)).kill:
            killed.append(moment)
    assert killed
    assert killed[0] <= 132
