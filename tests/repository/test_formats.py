"""A file is what its bytes say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.core.errors import ModelFileError
from penstock.repository.formats import FORMATS, identify
from penstock.runtimes import registry
from tests.repository import zips
from tests.repository.conftest import SAMPLES


def test_found_by_magic_bytes(sample: tuple[Path, str]) -> None:
    path, format = sample
    assert identify(path).name == format


def test_a_name_without_ending_is_fine(sample: tuple[Path, str]) -> None:
    path, format = sample
    assert identify(path.rename(path.with_name("model"))).name == format


def test_wrong_extension_says_what_it_is(sample: tuple[Path, str]) -> None:
    path, format = sample
    wrong = ".onnx" if format != "onnx" else ".joblib"
    with pytest.raises(ModelFileError) as refusal:
        identify(path.rename(path.with_name(f"model{wrong}")))
    assert FORMATS[format].title in refusal.value.message
    assert FORMATS[format].extensions[0] in refusal.value.message


def test_every_format_has_a_runtime() -> None:
    for name in FORMATS:
        assert registry.for_format(name) in registry.RUNTIMES


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b"\x89HDF\r\n\x1a\nrest", "HDF5"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00" + b'{"__meta__": {} ' + b"x" * 20, "safetensors"),
        (b"\x1c\x00\x00\x00TFL3" + b"x" * 20, "TensorFlow Lite"),
        (b"<?xml version='1.0'?><PMML/>", "PMML"),
        (zips.archive({"a.npy": b"x"}), "npz"),
        (zips.archive({"model.weights.h5": b"x", "config.json": b"{}"}), "Keras"),
        (zips.archive({"readme": b"x"}), "zip archive"),
    ],
)
def test_known_but_not_served_is_named(tmp_path: Path, data: bytes, title: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=title) as refusal:
        identify(path)
    assert "ONNX" in refusal.value.message


@pytest.mark.parametrize("data", [b"hello", b"\x00" * 40, b'{"a": 1}', b"tree", b"\x80", b"\x08\x07", b"\x80\x09rest."])
def test_unknown_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="no model file that Penstock knows"):
        identify(path)


def test_empty_and_missing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    with pytest.raises(ModelFileError, match="empty"):
        identify(tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match="No such file"):
        identify(tmp_path / "gone.onnx")


@pytest.mark.parametrize("name", ["m.onnx", "m.pkl", "m.skops", "m.json", "m.ubj", "m.pt", "m.pt2", "m.pth"])
def test_truncated_is_refused_as_such(tmp_path: Path, name: str) -> None:
    data = SAMPLES[name][1]()
    path = tmp_path / name
    path.write_bytes(data[:-3])
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        identify(path)


def test_counts_beyond_the_end_are_refused(tmp_path: Path) -> None:
    """An ONNX graph whose length prefix promises 2**60 bytes."""
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x09\x3a" + b"\xff" * 8 + b"\x7f" + b"rest")
    with pytest.raises(ModelFileError, match="truncated"):
        identify(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SAMPLES)),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=4),
)
def test_damage_never_raises_anything_else(
    tmp_path: Path, name: str, cut: float, flips: list[tuple[float, int]]
) -> None:
    data = bytearray(SAMPLES[name][1]())
    for where, bit in flips:
        data[int(where * len(data))] ^= 1 << bit
    path = tmp_path / name
    path.write_bytes(data[: int(cut * len(data))])
    said = outcome(path)
    assert said in FORMATS or said.startswith(name)
    assert str(tmp_path) not in said


def outcome(path: Path) -> str:
    """The format's name, or the refusal."""
    try:
        return identify(path).name
    except ModelFileError as refusal:
        return refusal.message
