"""Frames: every datatype there and back, aligned, however the stream is cut; nonsense is refused."""

from __future__ import annotations

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import BadInput
from penstock.core.tensors import DTYPES, Tensor, bytes_array
from penstock.scheduling.frames import (
    ALIGN,
    MAX_BODY,
    MAX_HEADER,
    PREFIX,
    Body,
    FrameReader,
    body_of,
    frame_size,
    pack,
    shared,
    shared_size,
    split,
    unpack,
)
from penstock.scheduling.messages import Run, TensorHead

decode = msgspec.msgpack.Decoder(Run).decode
SHAPES = [(3,), (0,), (2, 3), (0, 4), (1, 1, 5), ()]


def sample(datatype: str, shape: tuple[int, ...]) -> Tensor:
    count = int(np.prod(shape, dtype=int))
    if datatype == "BYTES":
        texts = [b"", "grüße\0".encode(), bytes(range(256)), b"x" * 17]
        flat = np.empty(count, dtype=object)
        flat[:] = [texts[index % len(texts)] for index in range(count)]
        return Tensor(datatype, flat.reshape(shape))
    raw = np.arange(1, count * DTYPES[datatype].itemsize + 1, dtype=np.uint8) % 2
    return Tensor(datatype, np.frombuffer(raw.tobytes(), DTYPES[datatype]).reshape(shape))


def framed(body: Body) -> bytes:
    return b"".join(bytes(part) for part in pack(Run(7, tuple(body.heads)), body.buffers, body.nbytes))


def same(one: Tensor, other: Tensor) -> bool:
    return (
        one.datatype == other.datatype
        and one.array.dtype == other.array.dtype
        and one.array.shape == other.array.shape
        and one.array.tolist() == other.array.tolist()
    )


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_datatype_and_shape_there_and_back(datatype: str, shape: tuple[int, ...]) -> None:
    sent = {"first": sample("UINT8", (3,)), "it": sample(datatype, shape), "last": sample("FP64", (2,))}
    header, body = split(framed(body_of(sent)))
    got = unpack(decode(header).inputs, body)
    assert list(got) == list(sent)
    assert all(same(got[name], sent[name]) for name in sent)


def test_every_tensor_starts_aligned_and_the_body_says_its_length() -> None:
    body = body_of({name: sample(name, (5,)) for name in DTYPES})
    assert body.nbytes == sum(len(part) for part in body.buffers)
    at = 0
    for head in body.heads:
        assert at % ALIGN == 0
        at += head.nbytes + -head.nbytes % ALIGN
    assert at == body.nbytes


def test_arrays_behind_one_another_are_one_tensor() -> None:
    body = Body()
    body.add("x", "INT32", [np.array([[1, 2]], "<i4"), np.empty((0, 2), "<i4"), np.array([[3, 4]], "<i4")], (2, 2))
    body.add("t", "BYTES", [bytes_array(["a"]), bytes_array(["bc"])], (2,))
    header, raw = split(framed(body))
    got = unpack(decode(header).inputs, raw)
    assert got["x"].array.tolist() == [[1, 2], [3, 4]]
    assert got["t"].array.tolist() == [b"a", b"bc"]


def test_arrays_of_any_memory_layout_are_sent_in_row_order() -> None:
    turned = np.asfortranarray(np.arange(6, dtype="<i8").reshape(2, 3))
    every_other = np.arange(10, dtype="<i8")[::2]
    header, raw = split(framed(body_of({"a": Tensor("INT64", turned), "b": Tensor("INT64", every_other)})))
    got = unpack(decode(header).inputs, raw)
    assert got["a"].array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert got["b"].array.tolist() == [0, 2, 4, 6, 8]


def test_received_numbers_are_not_copied() -> None:
    header, raw = split(framed(body_of({"x": sample("FP32", (4,))})))
    assert np.shares_memory(unpack(decode(header).inputs, raw)["x"].array, np.frombuffer(raw, np.uint8))


@pytest.mark.parametrize(
    "head",
    [
        TensorHead("x", "INT64", (3,), 16),
        TensorHead("x", "INT64", (2,), 15),
        TensorHead("x", "INT64", (100,), 800),
        TensorHead("x", "INT64", (-1,), 16),
        TensorHead("x", "INT64", (2**4, 2**60 + 2), 16),
        TensorHead("x", "COMPLEX", (2,), 16),
        TensorHead("x", "BYTES", (2,), 16),
    ],
)
def test_heads_that_do_not_fit_the_body_are_refused(head: TensorHead) -> None:
    with pytest.raises(BadInput):
        unpack([head], memoryview(b"\xff" * 16))


def some_frames() -> list[bytes]:
    bodies = [body_of({"x": sample("FP32", (n, 3)), "t": sample("BYTES", (n,))}) for n in (1, 0, 40)]
    return [framed(body) for body in [*bodies, Body()]]


def test_byte_by_byte() -> None:
    reader, frames = FrameReader(), some_frames()
    got = [frame for byte in b"".join(frames) for frame in reader.feed(bytes([byte]))]
    assert got == frames


def test_a_whole_frame_is_handed_on_as_it_is() -> None:
    frame = some_frames()[0]
    (got,) = FrameReader().feed(frame)
    assert got is frame


@given(st.data())
def test_however_the_stream_is_cut(data: st.DataObject) -> None:
    frames = some_frames()
    stream = b"".join(frames)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=12)))
    reader = FrameReader()
    got: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:stop])
    assert got == frames


@pytest.mark.parametrize(
    ("header", "body"), [(MAX_HEADER + 1, 0), (0, MAX_BODY + 1), (2**32 - 1, 0), (0, 2**64 - 1), (0, 2**63 - 1)]
)
def test_absurd_lengths_are_refused_before_anything_is_kept(header: int, body: int) -> None:
    prefix = struct.pack("<IQ", header, body)
    with pytest.raises(ValueError, match="out of range"):
        FrameReader().feed(prefix)
    with pytest.raises(ValueError, match="out of range"):
        frame_size(prefix)


def test_a_frame_whose_body_lies_in_shared_memory_is_its_header_alone() -> None:
    body = body_of({"x": sample("FP64", (1000,))})
    frame = shared(pack(Run(7, tuple(body.heads)), body.buffers, body.nbytes), body.nbytes)
    assert frame_size(frame) == len(frame)
    assert shared_size(frame) == body.nbytes
    assert FrameReader().feed(frame) == [frame]
    header, rest = split(frame)
    assert decode(header).inputs == tuple(body.heads)
    assert len(rest) == 0
    assert shared_size(framed(body)) == 0


def test_the_prefix_is_twelve_bytes() -> None:
    assert PREFIX.size == 12
    assert framed(Body())[:12] == struct.pack("<IQ", len(framed(Body())) - 12, 0)
