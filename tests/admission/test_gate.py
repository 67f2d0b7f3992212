"""The gate counts every accepted request exactly once, however it ends."""

from __future__ import annotations

import asyncio

import pytest

from penstock.admission.gate import AdmissionSettings, Gate
from penstock.core.errors import BadInput, Draining, ModelFailed, Overloaded
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request


class Downstream:
    """The next step: hands out replies that the test ends."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.error: Exception | None = None

    async def __call__(self, request: Request) -> Reply:
        if self.error is not None:
            raise self.error
        self.replies.append(Reply(Meta()))
        return self.replies[-1]


def gate(limit: int) -> tuple[Gate, Downstream]:
    downstream = Downstream()
    return Gate(downstream, AdmissionSettings(max_in_flight=limit)), downstream


def ask(step: Gate) -> Reply:
    return asyncio.run(step(Request("1", "m", {})))


def test_full_is_refused_until_one_ends() -> None:
    step, downstream = gate(2)
    ask(step)
    ask(step)
    with pytest.raises(Overloaded) as refusal:
        ask(step)
    assert refusal.value.retry_after_s
    downstream.replies[0].settle({})
    ask(step)
    assert step.in_flight == 2


@pytest.mark.parametrize("how", ["settle", "fail", "close", "close twice"])
def test_every_end_frees_one_place(how: str) -> None:
    step, downstream = gate(1)
    ask(step)
    reply = downstream.replies[0]
    if how == "settle":
        reply.settle({})
    elif how == "fail":
        reply.settle(ModelFailed("no"))
    else:
        reply.close()
    if how == "close twice":
        reply.close()
    assert step.in_flight == 0


def test_a_refusal_below_takes_no_place() -> None:
    step, downstream = gate(1)
    downstream.error = BadInput("no")
    with pytest.raises(BadInput):
        ask(step)
    assert step.in_flight == 0


def test_those_that_wait_further_down_count_too() -> None:
    async def through() -> None:
        async def slow(request: Request) -> Reply:
            await asyncio.sleep(10)
            return Reply(Meta())

        step = Gate(slow, AdmissionSettings(max_in_flight=2))
        asked = [asyncio.ensure_future(step(Request("1", "m", {}))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await asked[2]
        for task in asked[:2]:
            task.cancel()
        await asyncio.wait(asked)
        assert step.in_flight == 0

    asyncio.run(through())


def test_draining_takes_nothing_new() -> None:
    step, downstream = gate(1)
    step.draining = True
    with pytest.raises(Draining):
        ask(step)
    assert downstream.replies == []


def test_what_models_call_passes_a_full_and_a_closing_gate_and_takes_no_place() -> None:
    downstream = Downstream()
    step = Gate(downstream, AdmissionSettings(max_in_flight=1), {"embed"})
    ask(step)
    asyncio.run(step(Request("2", "embed@1", {})))
    step.draining = True
    asyncio.run(step(Request("3", "embed", {})))
    with pytest.raises(Draining):
        ask(step)
    step.draining = False
    downstream.replies[0].settle({})
    ask(step)
    assert step.in_flight == 1
