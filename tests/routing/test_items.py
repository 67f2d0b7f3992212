"""The cache as a step of the path: what it asks the next step for, and what becomes of those who wait."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from penstock.core.clock import system_clock
from penstock.core.deadline import NEVER
from penstock.core.errors import (
    BadInput,
    Cancelled,
    DeadlineExceeded,
    Internal,
    ModelFailed,
    Overloaded,
    PenstockError,
    WorkerLost,
)
from penstock.core.generation import Generation
from penstock.core.model import ModelSpec
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor, Tensors, object_array
from penstock.routing.items import ItemCache
from penstock.routing.settings import CacheSettings

SIGNATURE = Signature(
    (TensorSpec("text", "BYTES", (-1,)), TensorSpec("truncate", "BOOL", (-1,), optional=True)),
    (TensorSpec("length", "INT32", (-1,)), TensorSpec("upper", "BYTES", (-1,))),
)


class Model:
    """A served version."""

    def __init__(self, version: str = "1", signature: Signature | None = SIGNATURE, name: str = "m"):
        self.spec = ModelSpec(name=name, runtime="test", path="", version=version)
        self.signature = signature

    def config(self) -> dict[str, Any]:
        return {"timeout_ms": 5000, "max_timeout_ms": 60_000}


class House:
    """The next step and the models: remembers every request, and its replies end when the test says so."""

    def __init__(self, *models: Model, max_mb: float = 1):
        self.models = list(models) or [Model()]
        self.asked: list[Request] = []
        self.replies: list[Reply] = []
        self.closed: list[int] = []
        self.refusal: BaseException | None = None
        self.at_once = False
        self.cache = ItemCache(self, self, {"m": CacheSettings(max_mb)})  # type: ignore[arg-type]

    def find(self, name: str, version: str | None = None) -> Model:
        return next(m for m in reversed(self.models) if m.spec.name == name and version in (None, m.spec.version))

    def all(self) -> list[Model]:
        return self.models

    async def __call__(self, request: Request) -> Reply:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(request)
        number = len(self.replies)
        reply = Reply(Meta(request.model, request.version or self.models[-1].spec.version), lambda: self.gone(number))
        self.replies.append(reply)
        if self.at_once:
            self.answer(number)
        return reply

    def gone(self, number: int) -> None:
        self.closed.append(number)

    def answer(self, number: int = -1) -> None:
        reply = self.replies[number]
        reply.meta.queue_s, reply.meta.compute_s, reply.meta.batch_rows = 0.25, 0.5, 64
        reply.settle(answers(texts_of(self.asked[number])))

    def texts(self) -> list[list[str]]:
        return [texts_of(request) for request in self.asked]

    def counts(self, version: str = "1") -> tuple[int, int, int]:
        counts = dict(self.cache.scopes.counts())["m", version]
        return counts.hits, counts.misses, counts.shared


def texts_of(request: Request) -> list[str]:
    assert not isinstance(request.payload, Generation)
    return [text.decode() for text in request.payload["text"].array.tolist()]


def answers(texts: list[str]) -> Tensors:
    return {
        "length": Tensor("INT32", np.array([len(text) for text in texts], np.int32)),
        "upper": Tensor("BYTES", object_array([text.upper().encode() for text in texts], (len(texts),))),
    }


def ask(*texts: str, **rest: Any) -> Request:
    payload = {"text": Tensor("BYTES", object_array([text.encode() for text in texts], (len(texts),)))}
    return Request(rest.pop("id", "1"), "m", payload, **rest)


def shows(reply: Reply, *texts: str, known: int | None = None) -> None:
    """Asserts that a reply has ended with the answers to these texts."""
    outputs, expected = reply.tensors(), answers(list(texts))
    assert {name: tensor.array.tolist() for name, tensor in outputs.items()} == {
        name: tensor.array.tolist() for name, tensor in expected.items()
    }
    assert (reply.meta.model, reply.meta.version) == ("m", "1")
    if known is not None:
        assert reply.meta.cached_rows == known


def lived(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Runs a test inside an event loop."""

    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    return run


def wrong(row: int, several: bool) -> BadInput:
    """A refusal of one row, as the scheduler words it."""
    error = BadInput(f"row {row}: too long" if several else "too long")
    error.row = row
    return error


# --- what it asks for


@lived
async def test_of_32_rows_with_20_known_it_asks_for_12() -> None:
    house = House()
    house.at_once = True
    texts = [f"text {number}" for number in range(32)]
    await house.cache(ask(*texts[3:23]))
    reply = await house.cache(ask(*texts, id="second", priority=4, tenant=None))
    shows(reply, *texts, known=20)
    second = house.asked[1]
    assert texts_of(second) == texts[:3] + texts[23:]
    assert (second.id, second.priority, second.model, second.version, second.outputs) == ("second", 4, "m", "1", None)
    shows(await house.cache(ask(*reversed(texts))), *reversed(texts), known=32)
    assert len(house.asked) == 2
    assert house.counts() == (52, 32, 0)


@lived
async def test_equal_rows_of_one_request_run_once() -> None:
    house = House()
    reply = await house.cache(ask("a", "b", "a", "a"))
    assert house.texts() == [["a", "b"]]
    house.answer()
    shows(reply, "a", "b", "a", "a", known=2)
    assert house.counts() == (0, 2, 2)


@lived
async def test_the_times_are_those_of_what_was_run() -> None:
    house = House()
    first = await house.cache(ask("a", "b"))
    house.answer()
    assert (first.meta.queue_s, first.meta.compute_s, first.meta.batch_rows) == (0.25, 0.5, 64)
    second = await house.cache(ask("a"))
    assert (second.meta.queue_s, second.meta.compute_s, second.meta.batch_rows) == (0, 0, 0)


@lived
async def test_a_request_without_a_deadline_gets_the_models_and_others_keep_theirs() -> None:
    house = House()
    now = system_clock()
    await house.cache(ask("a"))
    await house.cache(ask("b", deadline=now + 30))
    default, own = (request.deadline for request in house.asked)
    assert now + 4.9 < default < now + 5.9
    assert own == now + 30


@pytest.mark.parametrize(
    "request_",
    [
        Request("1", "m", Generation(prompt="tell me")),
        Request("1", "m", {"text": Tensor("INT32", np.zeros(2, np.int32))}),
        Request("1", "m", {"text": Tensor("BYTES", object_array([b"a"], (1, 1)))}),
        Request("1", "m", {"truncate": Tensor("BOOL", np.array([True]))}),
        Request("1", "m", {}),
        ask(),
        ask("a", outputs=("lenght",)),
        ask("a", deadline=system_clock() - 1),
        ask("a", deadline=system_clock() + 1000),
        Request("1", "other", {}),
    ],
)
def test_what_the_model_will_refuse_passes_as_it_is(request_: Request) -> None:
    async def test() -> None:
        house = House(Model(), Model(name="other"))
        house.at_once = False
        await house.cache(ask("a"))
        house.answer()
        reply = await house.cache(request_)
        assert house.asked[1] is request_
        assert reply is house.replies[1]
        assert house.counts() == (0, 1, 0)

    lived(test)()


@pytest.mark.parametrize("signature", [None, Signature(SIGNATURE.inputs, SIGNATURE.outputs, batched=False)])
def test_models_that_are_loading_or_have_no_rows_pass(signature: Signature | None) -> None:
    async def test() -> None:
        house = House(Model(signature=signature))
        house.at_once = True
        for _ in range(2):
            await house.cache(ask("a"))
        assert house.texts() == [["a"], ["a"]]

    lived(test)()


@lived
async def test_a_model_that_has_loaded_in_the_meantime_is_cached() -> None:
    house = House(Model(signature=None))
    house.at_once = True
    await house.cache(ask("a"))
    house.models[0].signature = SIGNATURE
    await house.cache(ask("a"))
    shows(await house.cache(ask("a")), "a", known=1)


@lived
async def test_all_outputs_are_kept_whichever_are_wanted() -> None:
    house = House()
    house.at_once = True
    await house.cache(ask("a", outputs=("upper",)))
    shows(await house.cache(ask("a", outputs=("length",))), "a", known=1)


@lived
async def test_tenants_versions_and_inputs_keep_rows_apart() -> None:
    house = House(Model("2"), Model("1"))
    house.at_once = True
    with_option = ask("a")
    assert not isinstance(with_option.payload, Generation)
    with_option.payload = {**with_option.payload, "truncate": Tensor("BOOL", np.array([True]))}
    requests = [ask("a"), ask("a", tenant="x"), ask("a", tenant="y"), ask("a", version="2"), with_option]
    for request in [*requests, *requests]:
        await house.cache(request)
    assert len(house.asked) == len(requests)
    assert [request.tenant for request in house.asked[:3]] == [None, "x", "y"]
    assert house.counts("2") == (1, 1, 0)


@lived
async def test_a_version_that_was_loaded_anew_starts_with_nothing() -> None:
    house = House()
    house.at_once = True
    await house.cache(ask("a"))
    house.models[0] = Model()
    await house.cache(ask("a"))
    assert house.texts() == [["a"], ["a"]]
    assert house.counts() == (0, 2, 0)
    shows(await house.cache(ask("a")), "a", known=1)


@pytest.mark.parametrize("how", ["answer", "fail", "close", "expire"])
def test_nothing_holds_a_batch_in_memory(how: str) -> None:
    async def test() -> None:
        house = House()
        reply = await house.cache(ask("a", deadline=system_clock() + 0.02))
        other = await house.cache(ask("a"))
        batch = np.zeros((1000,), np.int32)
        payload = weakref.ref(house.asked[0].payload["text"].array)  # type: ignore[index]
        kept = weakref.ref(batch)
        if how == "answer":
            house.replies[0].settle({**answers(["a"]), "length": Tensor("INT32", batch[:1])})
        elif how == "fail":
            house.replies[0].settle(ModelFailed("no"))
        elif how == "close":
            other.close()
            reply.close()
        else:
            await asyncio.sleep(0.03)
            other.close()
        house.replies.clear()
        house.asked.clear()
        del reply, other, batch
        assert (kept(), payload()) == (None, None)
        if how == "answer":
            assert (await house.cache(ask("a"))).tensors()["length"].array.tolist() == [0]

    gc.collect()
    gc.disable()
    try:
        lived(test)()
    finally:
        gc.enable()


@lived
async def test_what_does_not_fit_into_the_cache_is_answered_and_not_kept() -> None:
    house = House(max_mb=0.001)
    house.at_once = True
    for _ in range(2):
        shows(await house.cache(ask("a" * 2000)), "a" * 2000, known=0)
    assert house.cache.scopes.stores["m"].bytes == 0


# --- rows under way


@lived
async def test_rows_under_way_are_waited_for() -> None:
    house = House()
    first = await house.cache(ask("a", "b"))
    second = await house.cache(ask("b", "c"))
    third = await house.cache(ask("c", "a"))
    assert house.texts() == [["a", "b"], ["c"]]
    house.answer(1)
    assert [second.done, third.done] == [False, False]
    house.answer(0)
    shows(first, "a", "b", known=0)
    shows(second, "b", "c", known=1)
    shows(third, "c", "a", known=2)
    assert house.counts() == (0, 3, 3)


@lived
async def test_a_client_that_leaves_takes_nobody_with_it() -> None:
    house = House()
    owner = await house.cache(ask("a", "b"))
    waiter = await house.cache(ask("b"))
    owner.close()
    assert isinstance(owner.outcome, Cancelled)
    assert house.closed == []
    house.answer()
    shows(waiter, "b", known=1)
    shows(await house.cache(ask("a")), "a", known=1)


@lived
async def test_what_nobody_waits_for_is_given_up() -> None:
    house = House()
    owner = await house.cache(ask("a"))
    waiter = await house.cache(ask("a", "b"))
    waiter.close()
    assert house.closed == [1]
    owner.close()
    assert house.closed == [1, 0]
    assert len(house.cache.flights) == 0
    again = await house.cache(ask("a"))
    house.answer()
    shows(again, "a", known=0)


@lived
async def test_an_answer_comes_before_the_time_of_those_who_have_less() -> None:
    house = House()
    now = system_clock()
    patient = await house.cache(ask("a"))
    hasty = await house.cache(ask("a", deadline=now + 0.05))
    with pytest.raises(DeadlineExceeded):
        await hasty.result()
    assert 0.04 < system_clock() - now < 0.5
    assert house.closed == []
    house.answer()
    shows(patient, "a")


@lived
async def test_rows_go_on_when_their_owners_time_has_passed_and_others_wait() -> None:
    house = House()
    owner = await house.cache(ask("a", deadline=system_clock() + 0.05))
    waiter = await house.cache(ask("a"))
    with pytest.raises(DeadlineExceeded):
        await owner.result()
    assert house.closed == []
    house.answer()
    shows(waiter, "a", known=1)


@lived
async def test_rows_are_given_up_when_their_owners_time_has_passed() -> None:
    house = House()
    owner = await house.cache(ask("a", deadline=system_clock() + 0.05))
    with pytest.raises(DeadlineExceeded):
        await owner.result()
    assert house.closed == [0]


# --- failures


@lived
async def test_a_refused_row_is_named_by_its_number_in_each_request() -> None:
    house = House()
    house.at_once = True
    await house.cache(ask("known"))
    house.at_once = False
    owner = await house.cache(ask("known", "good", "long"))
    same = await house.cache(ask("long"))
    other = await house.cache(ask("good", "x"))
    house.replies[1].settle(wrong(1, several=True))
    assert outcome_of(owner) == (BadInput, "row 2: too long")
    assert outcome_of(same) == (BadInput, "too long")
    assert not other.done
    await asyncio.sleep(0)
    assert house.texts()[2:] == [["x"], ["good"]]
    house.answer(2)
    house.answer(3)
    shows(other, "good", "x", known=0)


@pytest.mark.parametrize("error", [ModelFailed("no"), WorkerLost("no"), BadInput("no"), Internal("no")])
def test_a_failure_is_shared_with_those_whose_rows_were_all_that_ran(error: PenstockError) -> None:
    async def test() -> None:
        house = House()
        owner = await house.cache(ask("a"))
        waiters = [await house.cache(ask("a")), await house.cache(ask("b", "a"))]
        house.replies[0].settle(error)
        assert all(reply.outcome is error for reply in (owner, *waiters))
        assert house.closed == [1]
        await house.cache(ask("a"))
        assert house.texts() == [["a"], ["b"], ["a"]]

    lived(test)()


@pytest.mark.parametrize("error", [ModelFailed("no"), WorkerLost("no"), BadInput("no"), DeadlineExceeded("no")])
def test_those_who_waited_for_some_of_the_rows_run_them_by_themselves(error: PenstockError) -> None:
    async def test() -> None:
        house = House()
        owner = await house.cache(ask("guilty", "a", "b"))
        one, two = await house.cache(ask("a")), await house.cache(ask("b", "a"))
        house.replies[0].settle(error)
        assert owner.outcome is error
        await asyncio.sleep(0)
        assert house.texts()[1:] == [["a"], ["b"]]
        house.answer(1)
        house.answer(2)
        shows(one, "a", known=0)
        shows(two, "b", "a", known=1)

    lived(test)()


@pytest.mark.parametrize("error", [Cancelled("gone"), DeadlineExceeded("late")])
def test_an_end_that_was_the_owners_alone_is_never_shared(error: PenstockError) -> None:
    async def test() -> None:
        house = House()
        owner = await house.cache(ask("a"))
        waiters = [await house.cache(ask("a")) for _ in range(3)]
        house.replies[0].settle(error)
        assert owner.outcome is error
        await asyncio.sleep(0)
        assert house.texts() == [["a"], ["a"]]
        house.answer()
        for waiter in waiters:
            shows(waiter, "a")

    lived(test)()


@lived
async def test_errors_are_not_kept() -> None:
    house = House()
    (await house.cache(ask("a"))).close()
    failed = await house.cache(ask("a"))
    house.replies[1].settle(ModelFailed("no"))
    assert isinstance(failed.outcome, ModelFailed)
    await house.cache(ask("a"))
    house.answer()
    shows(await house.cache(ask("a")), "a", known=1)


@lived
async def test_a_refusal_of_the_next_step_ends_the_request_and_lets_go_of_others() -> None:
    house = House()
    first = await house.cache(ask("a"))
    house.refusal = Overloaded("full")
    second = await house.cache(ask("a", "b"))
    assert second.outcome is house.refusal
    house.answer()
    shows(first, "a")
    assert len(house.cache.flights) == 0


@lived
async def test_who_runs_its_rows_again_and_is_refused_is_told_so() -> None:
    house = House()
    await house.cache(ask("guilty", "a"))
    waiter = await house.cache(ask("a"))
    house.refusal = Overloaded("full")
    house.replies[0].settle(ModelFailed("no"))
    assert await outcome_in(waiter) is house.refusal


@lived
async def test_who_leaves_before_its_rows_run_again_starts_nothing() -> None:
    house = House()
    await house.cache(ask("guilty", "a"))
    waiter = await house.cache(ask("a"))
    house.replies[0].settle(ModelFailed("no"))
    waiter.close()
    await asyncio.sleep(0.01)
    assert len(house.asked) == 1
    assert len(house.cache.flights) == 0


@lived
async def test_outputs_that_are_not_one_per_row_fail_the_request() -> None:
    house = House()
    reply = await house.cache(ask("a", "b"))
    house.replies[0].settle(answers(["a"]))
    assert outcome_of(reply) == (ModelFailed, "output 'length' has shape [1] for 2 input rows")


@lived
async def test_a_bug_in_the_next_step_comes_up_and_leaves_nothing_behind() -> None:
    house = House()
    house.refusal = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        await house.cache(ask("a"))
    assert len(house.cache.flights) == 0


@lived
async def test_a_bug_while_rows_run_again_is_an_error_of_ours() -> None:
    house = House()
    await house.cache(ask("guilty", "a"))
    waiter = await house.cache(ask("a"))
    house.refusal = RuntimeError("a bug")
    house.replies[0].settle(ModelFailed("no"))
    assert type(await outcome_in(waiter)) is Internal


class Slow(House):
    """A next step that takes its time before there is a reply."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def __call__(self, request: Request) -> Reply:
        await self.gate.wait()
        return await super().__call__(request)


@lived
async def test_a_client_that_leaves_before_there_is_a_reply_takes_nobody_with_it() -> None:
    house = Slow()
    owner = asyncio.ensure_future(house.cache(ask("a")))
    await asyncio.sleep(0)
    waiter = await house.cache(ask("a"))
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert not waiter.done
    house.gate.set()
    await asyncio.sleep(0.01)
    house.answer()
    shows(waiter, "a")


@lived
async def test_rows_that_nobody_waits_for_when_the_reply_comes_are_given_up() -> None:
    house = Slow()
    asyncio.get_running_loop().call_later(0.1, house.gate.set)
    reply = await house.cache(ask("a", deadline=system_clock() + 0.02))
    assert isinstance(reply.outcome, DeadlineExceeded)
    assert house.closed == [0]


@lived
async def test_whoever_breaks_when_told_harms_nobody_else() -> None:
    house = House()
    owner, waiter = await house.cache(ask("a")), await house.cache(ask("a"))
    owner.add_done_callback(lambda _: 1 / 0)
    house.answer()
    shows(waiter, "a")


@lived
async def test_one_who_is_told_may_make_another_leave() -> None:
    house = House()
    owner, waiter = await house.cache(ask("a")), await house.cache(ask("a", "b"))
    other = await house.cache(ask("a", "c"))
    owner.add_done_callback(lambda _: other.close())
    waiter.add_done_callback(lambda _: None)
    house.answer(1)
    house.answer(0)
    shows(waiter, "a", "b")
    assert isinstance(other.outcome, Cancelled)
    assert house.closed == [2]


# --- outputs of many shapes


def padded(texts: list[str]) -> Tensors:
    """An output as wide as the longest row of the batch."""
    width = max(map(len, texts))
    return {"letters": Tensor("UINT8", np.array([list(t.encode().ljust(width)) for t in texts], np.uint8))}


@lived
async def test_rows_whose_shapes_differ_are_run_together() -> None:
    house = House()
    for text in ("a", "bbb"):
        await house.cache(ask(text))
        house.replies[-1].settle(padded([text]))
    together = await house.cache(ask("a", "bbb"))
    assert house.texts()[2:] == [["a", "bbb"]]
    assert together is house.replies[2]
    partly = await house.cache(ask("a", "cc", "a"))
    assert house.texts()[3] == ["cc"]
    house.replies[3].settle(padded(["cc"]))
    await asyncio.sleep(0)
    assert house.texts()[4] == ["a", "cc", "a"]
    house.replies[4].settle(padded(["a", "cc", "a"]))
    assert (await partly.result())["letters"].array.shape == (3, 2)
    assert partly.meta.cached_rows == 0


@pytest.mark.parametrize("how", ["close", "fail", "expire", "bug"])
def test_a_request_that_runs_whole_ends_as_any_other(how: str) -> None:
    async def test() -> None:
        house = House()
        await house.cache(ask("a"))
        house.replies[-1].settle(padded(["a"]))
        deadline = system_clock() + 0.05 if how == "expire" else NEVER
        reply = await house.cache(ask("a", "cc", deadline=deadline))
        house.refusal = RuntimeError("a bug") if how == "bug" else None
        house.replies[-1].settle(padded(["cc"]))
        await asyncio.sleep(0.01)
        if how == "close":
            reply.close()
        elif how == "fail":
            house.replies[-1].settle(ModelFailed("no"))
        error = await outcome_in(reply)
        expected = {"close": Cancelled, "fail": ModelFailed, "expire": DeadlineExceeded, "bug": Internal}
        assert type(error) is expected[how]
        await asyncio.sleep(0.01)
        assert house.closed == ([2] if how in ("close", "expire") else [])

    lived(test)()


@lived
async def test_a_model_with_too_many_shapes_is_answered_and_no_longer_kept() -> None:
    house = House()
    for width in range(1, 80):
        reply = await house.cache(ask("x" * width))
        house.replies[-1].settle(padded(["x" * width]))
        assert reply.tensors()["letters"].array.shape == (1, width)
    assert 32 <= len(house.cache.scopes.stores["m"]) < 79


def outcome_of(reply: Reply) -> tuple[type, str]:
    assert isinstance(reply.outcome, PenstockError)
    return type(reply.outcome), reply.outcome.message


async def outcome_in(reply: Reply) -> PenstockError:
    """The error that a reply ends with, soon."""
    with pytest.raises(PenstockError) as ended:
        await asyncio.wait_for(reply.result(), 5)
    return ended.value
