"""A home of its own for every test, and one small file of each format."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.repository import zips


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("PENSTOCK_HOME", str(folder))
    return folder


def onnx_bytes() -> bytes:
    """y = x + x, written by hand: what the onnx library writes for it."""
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    shape = ["rows", 2]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "twice",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
    )
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def _pickle() -> bytes:
    return pickle.dumps({"weights": np.arange(50.0)})


SAMPLES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "m.onnx": ("onnx", onnx_bytes),
    "m.pkl": ("pickle", _pickle),
    "m2.pickle": ("pickle", lambda: pickle.dumps([1, 2], protocol=2)),
    "m.joblib": ("pickle", _pickle),
    "zlib.joblib": ("joblib", lambda: zlib.compress(_pickle())),
    "gzip.joblib": ("joblib", lambda: gzip.compress(_pickle())),
    "bz2.joblib": ("joblib", lambda: bz2.compress(_pickle())),
    "xz.joblib": ("joblib", lambda: lzma.compress(_pickle())),
    "lzma.joblib": ("joblib", lambda: lzma.compress(_pickle(), lzma.FORMAT_ALONE)),
    "m.skops": ("skops", lambda: zips.archive({"schema.json": b"{}", "1.npy": b"x"})),
    "m.json": ("xgboost-json", lambda: b'{"learner":{"attributes":{}},"version":[3,0,0]}'),
    "pretty.json": ("xgboost-json", lambda: b'{\n  "learner": {\n  }\n}\n'),
    "m.ubj": ("xgboost-ubj", lambda: b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{}}"),
    "m.txt": ("lightgbm-text", lambda: b"tree\nversion=v4\nnum_class=1\n"),
    "m.pt": ("torchscript", lambda: zips.archive({"m/constants.pkl": b"", "m/code/a.py": b"", "m/data.pkl": b""})),
    "m.pt2": ("torch-export", lambda: zips.archive({"m/archive_format": b"pt2", "m/models/model.json": b"{}"})),
    "old.pt2": ("torch-export", lambda: zips.archive({"serialized_exported_program.json": b"{}"})),
    "m.pth": ("torch-pickle", lambda: zips.archive({"m/data.pkl": b"", "m/version": b"3"})),
    "legacy.pt": ("torch-legacy", lambda: b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."),
}


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file and the format it has."""
    format, build = SAMPLES[request.param]
    path = tmp_path / str(request.param)
    path.write_bytes(build())
    return path, format
