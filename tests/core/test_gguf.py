"""Reading GGUF files: whole ones, and damaged ones, which are refused in words, soon, and in little memory."""

from __future__ import annotations

import contextlib
import os
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.core.errors import ModelFileError
from penstock.core.gguf import KINDS, read
from penstock.core.gguf_values import Array
from tests.repository import ggufs

WHOLE = ggufs.gguf()
HUGE = (2**63, 2**64 - 1, 2**62, 2**40, 2**32, len(WHOLE) + 1)


def refused(path: Path, data: bytes) -> str:
    """The message of a refusal that came soon and took little."""
    path.write_bytes(data)
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(ModelFileError) as refusal:
        read(path)
    assert time.perf_counter() - begun < 5
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()
    assert str(path.parent) not in refusal.value.message
    return refusal.value.message


def head(tensors: int = 0, pairs: int = 1, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


# --- whole files


def test_metadata_and_tensors(tmp_path: Path) -> None:
    found = read(ggufs.write(tmp_path / "m.gguf"))
    assert found.metadata["general.name"] == "Small"
    assert found.metadata["llama.attention.head_count_kv"] == 2
    tokens = found.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, Array)
    assert tokens.length == len(ggufs.WORDS)
    assert found.array("tokenizer.ggml.tokens") == [word.encode() for word in ggufs.WORDS]
    assert found.array("tokenizer.ggml.token_type")[:4] == [3, 3, 3, 1]
    assert found.array("general.name") == found.array("absent") == []
    first = found.tensors[0]
    assert (first.name, first.kind, first.shape, first.elements) == ("token_embd.weight", "Q8_0", (32, 11), 352)
    assert (first.size, first.offset) == (352 // 32 * 34, 0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("u8", 255), ("i8", -1), ("u16", 65535), ("i16", -2), ("u32", 2**32 - 1), ("i32", -3), ("u64", 2**64 - 1),
     ("i64", -(2**63)), ("f32", 0.5), ("f64", 0.1), ("bool", True)],
)  # fmt: skip
def test_every_kind_of_number(tmp_path: Path, kind: str, value: Any) -> None:
    given = {"one": ggufs.number(kind, value), "several": ggufs.array(kind, [value] * 3)}
    given["many"] = ggufs.array(kind, [value] * 2000)
    found = read(ggufs.write(tmp_path / "m.gguf", given, ()))
    assert found.metadata["one"] == value
    assert found.metadata["several"] == [value] * 3
    assert found.array("many") == [value] * 2000


def test_it_reads_what_the_reference_library_writes(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    np = pytest.importorskip("numpy")
    writer = gguf.GGUFWriter(str(tmp_path / "m.gguf"), "llama")
    writer.add_context_length(128)
    writer.add_token_list(["a", "b"])
    writer.add_array("some.floats", [0.5, 1.5])
    values = np.arange(64, dtype=np.float32).reshape(2, 32)
    writer.add_tensor("plain", values)
    writer.add_tensor("packed", gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_0), raw_dtype=2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read(tmp_path / "m.gguf")
    assert found.metadata["llama.context_length"] == 128
    assert found.metadata["some.floats"] == [0.5, 1.5]
    assert [(tensor.name, tensor.kind, tensor.shape, tensor.size) for tensor in found.tensors] == [
        ("plain", "F32", (32, 2), 256),
        ("packed", "Q4_0", (32, 2), 36),
    ]


def test_sizes_of_tensors_are_the_reference_librarys() -> None:
    gguf = pytest.importorskip("gguf")
    for kind, sizes in gguf.GGML_QUANT_SIZES.items():
        if kind.value in KINDS:
            assert KINDS[kind.value] == (kind.name, *sizes)


# --- damaged files


def test_cut_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(WHOLE)
    for length in reversed(range(len(WHOLE) - 64)):
        os.truncate(path, length)
        with pytest.raises(ModelFileError, match=r"truncated|damaged"):
            read(path)


@pytest.mark.parametrize("huge", HUGE)
def test_lengths_and_counts_that_cannot_be(tmp_path: Path, huge: int) -> None:
    path, count = tmp_path / "m.gguf", struct.pack("<Q", huge)
    key = ggufs.text("k")
    refused(path, b"GGUF" + struct.pack("<I", 3) + count + struct.pack("<Q", 0) + bytes(64))
    refused(path, b"GGUF" + struct.pack("<IQ", 3, 0) + count + bytes(64))
    refused(path, head() + count + b"name")
    refused(path, head() + key + struct.pack("<I", ggufs.TEXT) + count + b"text")
    for kind in (*range(13), 99):
        refused(path, head() + key + struct.pack("<II", ggufs.ARRAY, kind) + count + bytes(64))
    refused(path, head() + key + struct.pack("<IIQ", ggufs.ARRAY, ggufs.TEXT, 3) + ggufs.text("a") + count + bytes(64))
    tensor = ggufs.text("t") + struct.pack("<I", 1)
    refused(path, head(1, 0) + tensor + count + struct.pack("<IQ", 0, 0) + bytes(64))
    refused(path, head(1, 0) + tensor + struct.pack("<Q", 4) + struct.pack("<I", 0) + count + bytes(64))
    four = ggufs.text("t") + struct.pack("<I", 4) + count * 4
    refused(path, head(1, 0) + four + struct.pack("<IQ", 0, 0) + bytes(64))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"GGUF", "truncated"),
        (b"GGML" + bytes(64), "does not begin with GGUF"),
        (head(version=1), "GGUF of version 1; versions 2 and 3"),
        (head(version=4), "GGUF of version 4"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (head(pairs=2) + 2 * (ggufs.text("k") + ggufs.number("u8", 1)), "two settings named 'k'"),
        (head() + ggufs.text("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(64), "lists of lists"),
        (head() + ggufs.text("k") + struct.pack("<I", 77) + bytes(64), "unknown kind 77"),
        (head() + ggufs.text(b"\xff\xfe") + ggufs.number("u8", 1), "no text"),
        (ggufs.gguf({"general.alignment": 3}), "alignment is 3"),
        (ggufs.gguf({"general.alignment": 0}), "alignment is 0"),
        (ggufs.gguf({"general.alignment": "x"}), "alignment is x"),
        (ggufs.gguf({}, [("t", (32,), 0), ("t", (32,), 0)]), "two tensors named 't'"),
        (head(1, 0) + ggufs.text("t") + struct.pack("<I", 9) + bytes(99), "has 9 dimensions"),
        (head(1, 0) + ggufs.text("t") + struct.pack("<I", 0) + bytes(99), "has 0 dimensions"),
        (head(1, 0) + ggufs.text("t") + struct.pack("<IQIQ", 1, 32, 777, 0) + bytes(99), "kind that is not known"),
        (head(1, 0) + ggufs.text("t") + struct.pack("<IQIQ", 1, 31, 8, 0) + bytes(99), "cannot have the shape"),
        (head(1, 0) + ggufs.text("t") + struct.pack("<IQIQ", 1, 32, 0, 7) + bytes(999), "odd place"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in refused(tmp_path / "m.gguf", data)


def test_the_end_of_the_last_tensor_is_missing(tmp_path: Path) -> None:
    message = refused(tmp_path / "m.gguf", WHOLE[:-64])
    assert "its header describes" in message
    assert "get it again" in message


def test_a_list_of_endless_empty_texts(tmp_path: Path) -> None:
    """As many as the file has room for: the walk itself must end."""
    path = tmp_path / "m.gguf"
    begin = head() + ggufs.text("k") + struct.pack("<IIQ", ggufs.ARRAY, ggufs.TEXT, 2**23)
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(len(begin) + 8 * 2**23)
    begun = time.perf_counter()
    with pytest.raises(ModelFileError, match="over 4,194,304 elements"):
        read(path)
    assert time.perf_counter() - begun < 5


def test_texts_that_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(head(pairs=20))
        for number in range(20):
            file.write(ggufs.text(f"k{number}") + struct.pack("<IQ", ggufs.TEXT, 8 * 2**20))
            file.seek(8 * 2**20, 1)
        file.truncate()
    with pytest.raises(ModelFileError, match="settings are over 64 MB"):
        read(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_changed(tmp_path: Path, data: st.DataObject) -> None:
    """Read, or refused: nothing else comes of it."""
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(damaged) - 9))
        damaged[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path = tmp_path / "m.gguf"
    path.write_bytes(damaged)
    with contextlib.suppress(ModelFileError):
        found = read(path)
        for key in found.metadata:
            assert isinstance(found.array(key), list)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=200))
@example(tail=b"\x00" * 64)
def test_any_bytes_after_the_head(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(head(1, 1) + tail)
    with pytest.raises(ModelFileError):
        read(path)
