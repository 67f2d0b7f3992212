"""Large bodies are decoded and packed beside the event loop, which goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import struct
import threading
import weakref
from typing import Any

import pytest

from penstock.core.errors import BadInput
from penstock.core.generation import Generation
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.protocols import json_tensors, predict
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.http import encoding
from penstock.protocols.http.drive import Drive
from penstock.protocols.oip import decode
from tests.protocols.doors import Doors, body, view

MANY = 100_000


def same(datatype: str) -> Doors:
    specs = (TensorSpec("x", datatype, (-1,)),)
    return Doors(view("m", Signature(specs, specs)))


def binary(datatype: str, count: int, raw: bytes) -> tuple[bytes, str]:
    """An infer request with one binary tensor, and the length of its JSON part."""
    tensor = {"name": "x", "shape": [count], "datatype": datatype, "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    return head + raw, str(len(head))


def remember_threads(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[bool]:
    """Whether each call of a function came from the main thread."""
    original, calls = getattr(module, name), []

    def noting(*arguments: Any) -> Any:
        calls.append(threading.current_thread() is threading.main_thread())
        return original(*arguments)

    monkeypatch.setattr(module, name, noting)
    return calls


def test_large_json_is_decoded_aside_and_small_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, doors = remember_threads(monkeypatch, decode, "_parse"), same("FP32")
    for count, inline in ((3, True), (MANY, False)):
        tensor = {"name": "x", "shape": [count], "datatype": "FP32", "data": [0.5] * count}
        assert doors.ask("POST", "/v2/models/m/infer", json.dumps({"inputs": [tensor]}).encode()).status == 200
        assert calls.pop() is inline


def test_large_rows_are_decoded_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, doors = remember_threads(monkeypatch, predict, "parse"), same("FP32")
    for count, inline in ((3, True), (MANY, False)):
        response = doors.ask("POST", "/predict", json.dumps({"inputs": [0.5] * count}).encode())
        assert len(json.loads(body(response))["outputs"]) == count
        assert calls.pop() is inline


def test_large_binary_numbers_are_decoded_at_once_and_texts_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = remember_threads(monkeypatch, decode, "_parse")
    for datatype, raw, inline in (("FP32", bytes(4 * MANY), True), ("BYTES", struct.pack("<I", 0) * MANY, False)):
        sent, length = binary(datatype, MANY, raw)
        response = same(datatype).ask("POST", "/v2/models/m/infer", sent, inference_header_content_length=length)
        assert body(response).endswith(raw)
        assert calls.pop() is inline


def test_long_answers_are_packed_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = remember_threads(monkeypatch, encoding, "encoded")
    for count, inline in ((1000, True), (MANY, False)):
        sent, length = binary("FP32", count, bytes(4 * count))
        given = {"inference_header_content_length": length, "accept_encoding": "gzip"}
        response = same("FP32").ask("POST", "/v2/models/m/infer", sent, **given)
        assert gzip.decompress(body(response)).endswith(bytes(4 * count))
        assert calls.pop() is inline


def test_large_packed_bodies_are_unpacked_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = remember_threads(monkeypatch, encoding, "decoded")
    rows = json.dumps({"inputs": [0.5] * 5 + [1]}).encode()
    for sent, inline in ((gzip.compress(rows), True), (gzip.compress(rows + b" " * 2 * HEAVY, 0), False)):
        assert same("FP32").ask("POST", "/predict", sent, content_encoding="gzip").status == 200
        assert calls.pop() is inline


def test_errors_found_aside_are_answered() -> None:
    assert same("FP32").ask("POST", "/predict", b'{"inputs": ["' + b"x" * HEAVY).status == 400
    sent, length = binary("BYTES", 2, b"\xff" * HEAVY)
    assert same("BYTES").ask("POST", "/v2/models/m/infer", sent, inference_header_content_length=length).status == 400


def test_more_bytes_elements_than_are_worth_a_loop_are_refused_before_it() -> None:
    count = decode.MAX_BYTES_ELEMENTS + 1
    sent, length = binary("BYTES", count, bytes(4 * count))
    assert same("BYTES").ask("POST", "/v2/models/m/infer", sent, inference_header_content_length=length).status == 413


def test_more_json_values_than_are_worth_parsing_are_refused() -> None:
    sent = b'{"inputs": [' + b"1," * json_tensors.MAX_VALUES + b"1,1]}"
    assert same("FP32").ask("POST", "/predict", sent).status == 413


def test_work_that_has_not_begun_is_dropped_with_its_request() -> None:
    done: list[int] = []

    async def leave() -> None:
        hold = threading.Event()
        for number in range(4):
            Drive(aside(lambda n: (hold.wait(10), done.append(n)), number), done.append).close()
        hold.set()
        assert await asyncio.wait_for(aside(int, "7"), 10) == 7
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert not {2, 3} & set(done)


class Large:
    """Something whose end can be seen."""


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_until_the_garbage_collection(fails: bool) -> None:
    kept: list[weakref.ref[Large]] = []

    def work(given: Large) -> Large:
        made = Large()
        kept.extend((weakref.ref(given), weakref.ref(made)))
        if fails:
            raise BadInput("wrong")
        return made

    async def use() -> None:
        with contextlib.suppress(BadInput):
            await aside(work, Large())
        await asyncio.sleep(0.2)  # the thread itself lets go a moment later

    gc.collect()
    gc.disable()
    try:
        asyncio.run(use())
        assert [one() for one in kept] == [None, None]
    finally:
        gc.enable()


def test_a_refused_request_is_not_kept_until_the_garbage_collection() -> None:
    kept: list[weakref.ref[Any]] = []

    async def refuse(request: Request) -> Reply:
        assert not isinstance(request.payload, Generation)
        kept.extend(weakref.ref(tensor.array) for tensor in request.payload.values())
        reply = Reply(Meta())
        reply.settle(BadInput("no"))
        return reply

    doors = Doors(handler=refuse)
    gc.collect()
    gc.disable()
    try:
        answer = doors.ask("POST", "/predict", b'{"inputs": [[1, 2, 3, 4]]}')
        assert (answer.status, [one() for one in kept]) == (400, [None])
    finally:
        gc.enable()
