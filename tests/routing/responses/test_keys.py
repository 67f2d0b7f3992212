"""Keys of requests: everything that an answer may depend on, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.generation import Call, Generation, Message, Sampling, Tool
from penstock.core.request import Hints, Request
from penstock.core.tensors import Tensor, object_array
from penstock.routing.responses.keys import LARGEST, key_of, repeatable
from tests.routing.responses.world import asks, question, rows

SAID: dict[str, Any] = {
    "messages": (Message("user", "Who?"),),
    "prompt": "Who?",
    "sampling": Sampling(top_k=3),
    "choices": 2,
    "tools": (Tool("clock"),),
    "tool_choice": "required",
    "parallel_calls": False,
    "format": {"type": "object"},
    "adapter": "legal",
    "echo": True,
    "think": True,
    "count_only": True,
}
SAMPLED: dict[str, Any] = {
    "max_tokens": 7,
    "min_tokens": 1,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "min_p": 0.1,
    "seed": 1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "repetition_penalty": 1.1,
    "stop": ("x",),
    "stop_token_ids": (1,),
    "ignore_eos": True,
    "logprobs": 0,
    "logit_bias": {1: 1.0},
}
WISHED = {"budget": 0.1, "quality": 0.5, "max_latency_s": 1.0, "pin": "large"}
NO_MATTER = {"session": "s", "no_cache": True, "no_store": True, "max_age_s": 3.0, "cached_only": True}


def key(request: Request, identity: bytes = b"route", shared: bool = False, floor: float = 0.0) -> bytes | None:
    return key_of(identity, request, shared=shared, floor=floor)


def test_the_same_has_the_same_key() -> None:
    assert key(asks(id="1", priority=0, deadline=3.0)) == key(asks(id="2"))
    assert len(key(asks()) or b"") == 32


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Generation)])
def test_everything_that_is_asked_for_is_in_the_key(name: str) -> None:
    changed = msgspec.structs.replace(question(), **{name: SAID[name]})
    assert key(asks(changed)) != key(asks())


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(Sampling)])
def test_every_setting_of_sampling_is_in_the_key(name: str) -> None:
    assert key(asks(question(**{name: SAMPLED[name]}))) != key(asks())


@pytest.mark.parametrize("name", list(Hints.__dataclass_fields__))
def test_wishes_about_who_answers_are_in_the_key_and_no_others(name: str) -> None:
    changed = key(asks(**{name: {**WISHED, **NO_MATTER}[name]}))
    assert (changed == key(asks())) is (name in NO_MATTER)


def test_who_asks_what_is_wanted_and_where_one_stands_are_in_the_key() -> None:
    keys = [
        key(asks()),
        key(asks(tenant="theirs")),
        key(asks(tenant=None)),
        key(asks(tenant="")),
        key(asks(version="2")),
        key(asks(outputs=("y",))),
        key(asks(outputs=("y", "z"))),
        key(asks(outputs=("z", "y"))),
        key(asks(outputs=())),
        key(asks(), floor=0.5),
        key(asks(), identity=b"other"),
    ]
    assert len(set(keys)) == len(keys)


def test_tenants_share_only_where_told() -> None:
    ours, theirs = asks(tenant="ours"), asks(tenant="theirs")
    assert key(ours) != key(theirs)
    assert key(ours, shared=True) == key(theirs, shared=True) != key(ours)


def test_turns_do_not_run_together() -> None:
    said = [
        (Message("user", "ab"), Message("user", "c")),
        (Message("user", "a"), Message("user", "bc")),
        (Message("user", "abc"),),
        (Message("system", "abc"),),
        (Message("assistant", "abc"),),
        (Message("assistant", "abc", reasoning="x"),),
        (Message("assistant", "abc", calls=(Call("1", "f", "{}"),)),),
        (Message("tool", "abc", call_id="1"),),
        (Message("tool", "abc", name="1"),),
    ]
    keys = {key(asks(Generation(messages=messages))) for messages in said}
    prompts = {key(asks(Generation(prompt=prompt))) for prompt in ("12", (1, 2), (12,), "")}
    assert len(keys) == len(said)
    assert len(prompts) == 4
    assert not keys & prompts


def test_tensors_by_name_type_shape_and_content() -> None:
    one = np.arange(6, dtype=np.float32)
    payloads = [
        {"x": Tensor("FP32", one.reshape(2, 3))},
        {"x": Tensor("FP32", one.reshape(3, 2))},
        {"y": Tensor("FP32", one.reshape(2, 3))},
        {"x": Tensor("INT32", one.view(np.int32).reshape(2, 3))},
        {"x": Tensor("FP32", one.reshape(2, 3) + 1)},
        {"x": Tensor("FP32", one.reshape(2, 3)), "y": Tensor("FP32", one)},
        {"x": Tensor("FP32", one), "y": Tensor("FP32", one.reshape(2, 3))},
        {"x": Tensor("BYTES", object_array([b"ab", b"c"], (2,)))},
        {"x": Tensor("BYTES", object_array([b"a", b"bc"], (2,)))},
        {},
    ]
    assert len({key(asks(payload)) for payload in payloads}) == len(payloads)
    backwards = dict(reversed(list(payloads[5].items())))
    assert key(asks(backwards)) == key(asks(payloads[5]))
    strided = {"x": Tensor("FP32", np.stack([one, one], 1)[:, 0].reshape(2, 3))}
    assert key(asks(strided)) == key(asks(payloads[0]))


def test_what_is_too_large_has_no_key() -> None:
    assert key(asks({"x": Tensor("UINT8", np.zeros(LARGEST + 1, np.uint8))})) is None
    assert key(asks({"x": Tensor("BYTES", object_array([b"x" * LARGEST], (1,)))})) is None
    assert key(asks(question("x" * LARGEST))) is None
    assert key(asks({"x": Tensor("UINT8", np.zeros(LARGEST, np.uint8))})) is not None


def test_a_text_that_is_no_unicode_has_no_key() -> None:
    assert key(asks(question("\ud800"))) is None


@pytest.mark.parametrize(
    ("sampling", "again"),
    [
        ({"temperature": 0.0}, True),
        ({"temperature": 1e-6}, True),
        ({"temperature": None}, False),
        ({"temperature": 0.7}, False),
        ({"temperature": 0.7, "seed": 0}, True),
        ({"temperature": None, "seed": 1}, True),
        ({"temperature": 0.7, "top_k": 1}, True),
        ({"temperature": 0.7, "top_k": 0}, False),
    ],
)
def test_whether_chance_has_a_part_in_an_answer(sampling: dict[str, Any], again: bool) -> None:
    assert repeatable(asks(question(**sampling))) is again


def test_rows_and_counts_are_always_the_same() -> None:
    assert repeatable(asks(rows(1)))
    assert repeatable(asks(Generation(prompt="x", count_only=True)))
