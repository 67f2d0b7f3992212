"""Which file of a folder is served, by names alone; and whether its weights are whole."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from penstock.core.errors import ModelFileError
from penstock.repository.openvino_ir import weights_of
from penstock.repository.safetensors import INDEX, check_weights
from penstock.repository.weights import beside, check_served, choose
from tests.repository.folders import ir, put, safetensors

ST = "model.safetensors"


@pytest.mark.parametrize(
    ("names", "format", "file"),
    [
        ([ST], "safetensors", ST),
        ([INDEX, "model-00001-of-00002.safetensors", "pytorch_model.bin"], "safetensors", INDEX),
        ([ST, "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"], "safetensors", ST),
        (["model.onnx", ST], "onnx", "model.onnx"),
        ([ST, "onnx/model.onnx", "onnx/model_O2.onnx", "onnx/model_quantized.onnx"], "onnx", "onnx/model.onnx"),
        (["model.onnx", "onnx/model.onnx"], "onnx", "model.onnx"),
        ([ST, "openvino/openvino_model.xml", "openvino/openvino_model_qint8.xml"], "openvino",
         "openvino/openvino_model.xml"),
        (["model.xml", "model.bin"], "openvino", "model.xml"),
        (["mine.onnx", ST], "onnx", "mine.onnx"),
        (["onnx/model_quantized.onnx"], "onnx", "onnx/model_quantized.onnx"),
        ([ST, "onnx/model_quantized.onnx"], "safetensors", ST),
        ([ST, "onnx/model_quantized.onnx", "onnx/model_O4.onnx"], "safetensors", ST),
        (["pytorch_model.bin"], "torch-pickle", "pytorch_model.bin"),
        ([ST, "deep/down/model.onnx"], "safetensors", ST),
    ],
)  # fmt: skip
def test_the_plain_one_is_served(names: list[str], format: str, file: str) -> None:
    assert choose(names) == (format, file)


def test_one_that_was_named_wins() -> None:
    names = [ST, "onnx/model.onnx", "onnx/model_O4.onnx"]
    assert choose(names, "onnx/model_O4.onnx") == ("onnx", "onnx/model_O4.onnx")
    assert choose(names, ST) == ("safetensors", ST)
    with pytest.raises(ModelFileError, match=r"no onnx/model_O5\.onnx; there is"):
        choose(names, "onnx/model_O5.onnx")
    with pytest.raises(ModelFileError, match=r"README\.md is no model file"):
        choose([*names, "README.md"], "README.md")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.onnx", "b.onnx"], r"not clear .*: a\.onnx, b\.onnx; .*options: \{file: a\.onnx\}"),
        (["onnx/model_O1.onnx", "onnx/model_O2.onnx"], "not clear"),
        (["a.onnx", "b.onnx", ST], r"a\.onnx, b\.onnx, model\.safetensors"),
        ([], "no weights"),
        (["README.md"], "no weights"),
        (["llama-q4.gguf"], "there are no weights"),
        (["tf_model.h5", "flax_model.msgpack"], "TensorFlow weights.*save it as safetensors"),
        (["pytorch_model-00001-of-00002.bin"], "a pickle, in pieces"),
        (["adapter_model.safetensors"], "under another name"),
    ],
)
def test_refusals_list_what_there_is(names: list[str], reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        choose(names)


def test_what_lies_beside() -> None:
    names = ["model.onnx", "model.onnx_data", "model.onnx_data_1", "model.onnx.data", "m.xml", "m.bin", "other.bin"]
    assert beside(names, "model.onnx") == ["model.onnx_data", "model.onnx_data_1", "model.onnx.data"]
    assert beside(names, "m.xml") == ["m.bin"]
    assert beside(names, "m.bin") == []


def test_names_that_are_never_downloaded() -> None:
    for name in ("model.msgpack", "tf_model.h5"):
        with pytest.raises(ModelFileError, match="not served here"):
            check_served(name)
    for name in ("model.joblib", "model.onnx", "pytorch_model.bin"):
        check_served(name)


# --- safetensors


@pytest.mark.parametrize(("dtype", "precision"), [("F32", "fp32"), ("F16", "fp16"), ("BF16", "bf16")])
def test_whole_weights(tmp_path: Path, dtype: str, precision: str) -> None:
    put(tmp_path / ST, safetensors(dtype))
    assert check_weights(tmp_path, ST) == precision


def test_every_cut_is_found(tmp_path: Path) -> None:
    whole = safetensors()
    for size in range(len(whole)):
        put(tmp_path / ST, whole[:size])
        with pytest.raises(ModelFileError, match=rf"{ST} is truncated or damaged: .* it has {size};"):
            check_weights(tmp_path, ST)


def test_both_sizes_are_said(tmp_path: Path) -> None:
    whole = safetensors(numbers=1000)
    put(tmp_path / ST, whole[:-2000])
    with pytest.raises(ModelFileError, match=f"describes {len(whole):,} bytes, and it has {len(whole) - 2000:,}"):
        check_weights(tmp_path, ST)


def _header(header: object, body: bytes = b"") -> bytes:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(data)) + data + body


@pytest.mark.parametrize(
    "data",
    [
        _header([]),
        _header(b"{"),
        _header(b"[" * 50_000),
        _header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**63]}}),
        _header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**70]}}),
        _header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}),
        _header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}),
        _header({"a": {"dtype": "F32", "shape": [1]}}),
        _header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(8)),
        struct.pack("<Q", 2**63) + b"{}",
    ],
)
def test_headers_that_lie(tmp_path: Path, data: bytes) -> None:
    put(tmp_path / ST, data)
    with pytest.raises(ModelFileError, match=f"{ST} is (truncated or )?damaged"):
        check_weights(tmp_path, ST)


def test_shards(tmp_path: Path) -> None:
    one, two = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    put(tmp_path / INDEX, {"weight_map": {"a": one, "b": two, "c": one}})
    put(tmp_path / one, safetensors())
    with pytest.raises(ModelFileError, match=f"{two} is missing"):
        check_weights(tmp_path, INDEX)
    put(tmp_path / two, safetensors()[:-1])
    with pytest.raises(ModelFileError, match=f"{two} is truncated"):
        check_weights(tmp_path, INDEX)
    put(tmp_path / two, safetensors())
    assert check_weights(tmp_path, INDEX) == "fp32"


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", "sub/x.safetensors", "model.bin"])
def test_an_index_names_its_own_folder_only(tmp_path: Path, shard: str) -> None:
    put(tmp_path / INDEX, {"weight_map": {"a": shard}})
    with pytest.raises(ModelFileError, match="no safetensors file beside it"):
        check_weights(tmp_path, INDEX)


# --- OpenVINO


def test_an_ir_and_its_weights(tmp_path: Path) -> None:
    put(tmp_path / "m.xml", ir(8))
    with pytest.raises(ModelFileError, match=r"m\.bin, which is not beside it"):
        weights_of(tmp_path / "m.xml")
    put(tmp_path / "m.bin", bytes(7))
    with pytest.raises(ModelFileError, match=r"m\.bin is truncated .* needs 8 bytes, and it has 7"):
        weights_of(tmp_path / "m.xml")
    put(tmp_path / "m.bin", bytes(8))
    assert weights_of(tmp_path / "m.xml") == tmp_path / "m.bin"


def test_an_ir_without_constants_needs_no_weights(tmp_path: Path) -> None:
    put(tmp_path / "m.xml", ir(0))
    weights_of(tmp_path / "m.xml")


def test_a_real_ir(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    import numpy as np
    from openvino import opset13 as ops

    x = ops.parameter([-1, 2], np.float32, name="x")
    model = openvino.Model([ops.add(x, ops.constant(np.ones((1, 2), np.float32)))], [x], "m")
    openvino.save_model(model, str(tmp_path / "m.xml"), compress_to_fp16=False)
    assert weights_of(tmp_path / "m.xml").stat().st_size == 8
    put(tmp_path / "m.bin", bytes(4))
    with pytest.raises(ModelFileError, match="needs 8 bytes, and it has 4"):
        weights_of(tmp_path / "m.xml")
