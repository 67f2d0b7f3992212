"""Models are unloaded and loaded again while others go on."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.errors import Conflict, Unavailable, UnknownModel
from penstock.core.generation import Generation, Text
from penstock.core.model import ModelSpec, State
from penstock.core.request import Request
from penstock.runtimes import registry
from penstock.scheduling.fleet import Fleet
from penstock.scheduling.settings import DeploymentSettings
from tests.scheduling.continuous.engines import Parrot


async def said(fleet: Fleet, prompt: str) -> str:
    reply = await fleet(Request("1", "m", Generation(prompt=prompt)))
    return "".join([event.text async for event in reply if isinstance(event, Text)])


async def served(loads: list[Parrot]) -> Fleet:
    def create(name: str) -> Parrot:
        loads.append(Parrot(pause_s=0.001))
        return loads[-1]

    assert registry.batches_itself("llm")
    fleet = Fleet()
    fleet.add(ModelSpec(name="m", runtime="llm", path=""), DeploymentSettings(), create)
    fleet.start()
    await fleet.loaded()
    return fleet


async def unload_and_load() -> None:
    loads: list[Parrot] = []
    fleet = await served(loads)
    under_way = asyncio.create_task(said(fleet, "what was accepted is finished"))
    await asyncio.sleep(0)
    await fleet.unload("m")
    assert await under_way == "what was accepted is finished "
    assert fleet.find("m").state is State.UNLOADED
    with pytest.raises(Unavailable, match="load loads it again"):
        await said(fleet, "hello")
    await fleet.unload("m")
    await fleet.load("m")
    await fleet.load("m")
    assert fleet.find("m").state is State.READY
    assert await said(fleet, "hello again") == "hello again "
    assert len(loads) == 2
    with pytest.raises(UnknownModel):
        await fleet.unload("other")
    await fleet.close()


async def unload_in_a_hurry() -> None:
    fleet = await served([])
    fleet.drain_s = 0.1
    under_way = asyncio.create_task(said(fleet, "word " * 10_000))
    await asyncio.sleep(0.05)
    await fleet.unload("m")
    with pytest.raises(Unavailable, match="unloaded before the answer was finished"):
        await under_way
    await fleet.load("m")
    assert await said(fleet, "hello") == "hello "
    await fleet.close()


async def both_at_once() -> None:
    loads: list[Parrot] = []
    fleet = await served(loads)
    await fleet.unload("m")
    async with asyncio.timeout(20):
        await asyncio.gather(fleet.load("m"), fleet.unload("m"), fleet.unload("m"), fleet.load("m"))
    assert fleet.find("m").state is State.READY
    assert await said(fleet, "one remains") == "one remains "
    await fleet.close()


async def needed() -> None:
    loads: list[Parrot] = []
    fleet = await served(loads)
    fleet.add(ModelSpec(name="user", runtime="llm", path=""), DeploymentSettings(needs=("m",)), lambda name: Parrot())
    with pytest.raises(Conflict, match="'user' needs 'm'"):
        await fleet.unload("m")
    await fleet.close()


def test_what_is_not_finished_in_time_is_told_why() -> None:
    asyncio.run(unload_in_a_hurry())


def test_a_model_is_unloaded_and_loaded_again() -> None:
    asyncio.run(unload_and_load())


def test_what_others_need_stays() -> None:
    asyncio.run(needed())


def test_loading_and_unloading_take_turns() -> None:
    asyncio.run(both_at_once())
