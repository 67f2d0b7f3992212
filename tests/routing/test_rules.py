"""Rules that are functions: in their own threads, within the request's time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from penstock.core.errors import DeadlineExceeded, ModelFailed, Overloaded, ProviderFailed
from penstock.core.generation import Generation, Message, Text
from penstock.core.request import Request
from penstock.core.tensors import Tensor
from penstock.protocols.http.drive import Drive
from penstock.routing.rules import Rule
from penstock.routing.settings import RuleSettings
from penstock.routing.threads import Threads
from tests.routing.backends import Backend
from tests.routing.test_router import ask, router

ASKS = Request("1", "route", Generation(messages=(Message("user", "hello"),)))
FUNCTION = RuleSettings(function="x:y")


class Hanging:
    """A function that hangs until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = 0

    def __call__(self, text: Any) -> Any:
        self.calls += 1
        self.go.wait(60)
        return str(text).upper()


def driven(coroutine: Any) -> Any:
    """What a coroutine gives when the server drives it, without a task."""

    async def scenario() -> Any:
        end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        Drive(coroutine, end.set_result)
        async with asyncio.timeout(20):
            return await end

    return asyncio.run(scenario())


def test_a_function_that_hangs_ends_with_the_requests_time() -> None:
    function = Hanging()
    began = time.monotonic()
    end = driven(Rule(FUNCTION, function).reply(ASKS, began + 0.05))
    assert isinstance(end, DeadlineExceeded)
    assert time.monotonic() - began < 5
    function.go.set()


def test_the_deadline_of_the_route_reaches_its_rule() -> None:
    function = Hanging()
    backend = Backend("a", refuses=ProviderFailed("down"))
    made = router(backend, fallback=("rule",), rule=Rule(FUNCTION, function), timeout_ms=200)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        asyncio.run(ask(made))
    assert time.monotonic() - began < 10
    function.go.set()


def test_with_time_enough_it_answers_texts_and_rows() -> None:
    reply = driven(Rule(FUNCTION, str.upper).reply(ASKS, time.monotonic() + 30))
    assert [event.text for event in reply.take() if isinstance(event, Text)] == ["HELLO"]
    rows = Request("1", "route", {"x": Tensor.of([[1.0], [2.0]])})
    outputs = driven(Rule(FUNCTION, lambda given: {"y": given["x"] * 2}).reply(rows)).tensors()
    assert outputs["y"].array.tolist() == [[2.0], [4.0]]


@pytest.mark.parametrize("raised", [ZeroDivisionError, StopIteration, SystemExit, KeyboardInterrupt])
def test_whatever_it_raises_is_its_own_failure(raised: type[BaseException]) -> None:
    def function(_: Any) -> Any:
        raise raised

    assert isinstance(driven(Rule(FUNCTION, function).reply(ASKS)), ModelFailed)


def test_who_leaves_while_it_waits_is_not_computed_for() -> None:
    async def scenario() -> None:
        function = Hanging()
        rule = Rule(FUNCTION, function)
        for _ in range(50):
            Drive(rule.reply(ASKS), lambda _: None).close()
        await asyncio.sleep(0.01)
        function.go.set()
        async with asyncio.timeout(20):
            reply = await rule.reply(ASKS)
        assert [event.text for event in reply.take() if isinstance(event, Text)] == ["HELLO"]
        assert function.calls < 20

    asyncio.run(scenario())


def test_threads_are_few_and_too_many_calls_are_refused() -> None:
    threads, function = Threads(2, 3), Hanging()
    calls = [threads.call(function, number) for number in range(5)]
    with pytest.raises(Overloaded, match="busy"):
        threads.call(function, 6)
    assert [thread.name for thread in threading.enumerate()].count("penstock-rule") >= 2
    assert function.calls <= 2
    function.go.set()
    assert [call.result(20) for call in calls] == ["0", "1", "2", "3", "4"]
    until = time.monotonic() + 10
    while threads._calls and time.monotonic() < until:
        time.sleep(0.005)
    assert threads.call(str, 7).result(20) == "7"


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    code = "import time; from penstock.routing.threads import Threads; Threads(2, 2).call(time.sleep, 600)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
