"""OpenVINO IR files: any graph of tensors, its weights beside it."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.errors import BadInput, ConfigError, ModelFileError, PenstockError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array, datatype_of
from penstock.runtimes import registry
from penstock.runtimes.openvino import OpenvinoRuntime
from tests.runtimes.damage import damaged
from tests.runtimes.models import openvino_ir

pytest.importorskip("openvino")
COPIES = 60


def ov() -> Any:
    from penstock.runtimes.openvino import library

    return library()


def named(node: Any, *names: str) -> Any:
    """A node whose output goes by these names."""
    node.output(0).get_tensor().set_names(set(names))
    return node


def written(folder: Path, results: list[Any], inputs: list[Any], **more: Any) -> ModelSpec:
    """A graph in a file."""
    openvino = ov()
    openvino.save_model(openvino.Model(results, inputs, "m"), folder / "m.xml", compress_to_fp16=False)
    return ModelSpec(name="m", runtime="openvino", path=str(folder / "m.xml"), format="openvino", **more)


def twice(folder: Path, shape: list[int], dtype: Any = np.float32, **more: Any) -> ModelSpec:
    """A graph that adds its input to itself."""
    ops = ov().opset13
    x = ops.parameter(shape, dtype, name="x")
    return written(folder, [named(ops.add(x, x), "y")], [x], **more)


def load(spec: ModelSpec) -> OpenvinoRuntime:
    runtime = OpenvinoRuntime()
    runtime.load(spec)
    return runtime


def refused(spec: ModelSpec, kind: type[PenstockError], match: str) -> None:
    with pytest.raises(kind, match=match) as refusal:
        OpenvinoRuntime().load(spec)
    assert str(Path(spec.path).parent) not in refusal.value.message


@pytest.mark.parametrize(
    ("shape", "batched", "fixed"), [([-1, 2], True, None), ([4, 2], True, 4), ([1, 2], True, 1), ([-1, -1], True, None)]
)
def test_batching_by_shape(tmp_path: Path, shape: list[int], batched: bool, fixed: int | None) -> None:
    signature = load(twice(tmp_path, shape)).signature
    assert (signature.batched, signature.fixed_rows) == (batched, fixed)
    assert signature.inputs[0].shape == (-1, shape[1])
    whole = OpenvinoRuntime().load(twice(tmp_path, shape, batched=False))
    assert (whole.batched, whole.inputs[0].shape) == (False, tuple(shape))


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
)
def test_datatypes(tmp_path: Path, dtype: Any) -> None:
    runtime = load(twice(tmp_path, [-1, 2], dtype))
    x = np.array([[1, 2], [3, 4]], dtype)
    got = runtime.run({"x": x})["y"]
    assert runtime.signature.inputs[0].datatype == datatype_of(x)
    assert got.dtype == x.dtype
    assert got.tolist() == (x + x).tolist()


def test_booleans(tmp_path: Path) -> None:
    ops = ov().opset13
    x = ops.parameter([-1], np.bool_, name="x")
    runtime = load(written(tmp_path, [named(ops.logical_not(x), "y")], [x]))
    assert runtime.run({"x": np.array([True, False])})["y"].tolist() == [False, True]


def test_bf16_is_taken_and_given_as_fp32(tmp_path: Path) -> None:
    openvino = ov()
    runtime = load(twice(tmp_path, [-1, 2], openvino.Type.bf16))
    assert [spec.datatype for spec in (*runtime.signature.inputs, *runtime.signature.outputs)] == ["FP32", "FP32"]
    assert runtime.run({"x": np.array([[1, 2.5]], np.float32)})["y"].tolist() == [[2, 5]]


def test_what_has_no_datatype_is_refused(tmp_path: Path) -> None:
    ops, openvino = ov().opset13, ov()
    x = ops.parameter([-1], openvino.Type.string, name="x")
    refused(written(tmp_path, [ops.result(x)], [x]), ModelFileError, "'x' is string, which cannot be served")


def test_several_inputs_and_outputs_by_name(tmp_path: Path) -> None:
    ops = ov().opset13
    a, b = ops.parameter([-1, 2], np.float32, name="a"), ops.parameter([-1, 2], np.float32, name="b")
    total, least = named(ops.add(a, b), "total", "z_alias"), named(ops.minimum(a, b), "least")
    runtime = load(written(tmp_path, [total, least], [a, b]))
    assert runtime.signature.output_names() == ("total", "least")
    got = runtime.run({"b": np.array([[1, 5]], np.float32), "a": np.array([[2, 3]], np.float32)})
    assert {name: array.tolist() for name, array in got.items()} == {"total": [[3, 8]], "least": [[1, 3]]}


def test_ports_without_a_name_keep_the_one_that_they_are_given(tmp_path: Path) -> None:
    ops = ov().opset13
    x = ops.parameter([-1, 2], np.float32, name="in")
    halves = ops.split(x, ops.constant(1), 2)
    spec = written(tmp_path, [*halves.outputs(), ops.add(x, x).output(0)], [x])
    graph = Path(spec.path)
    graph.write_text(re.sub(r' (names|output_names)="[^"]*"', "", graph.read_text()))
    runtime = load(spec)
    assert runtime.signature == load(spec).signature
    got = runtime.run({"in": np.array([[1, 2]], np.float32)})
    assert list(got) == list(runtime.signature.output_names())
    assert [array.tolist() for array in got.values()] == [[[1]], [[2]], [[2, 4]]]


def test_answers_outlive_the_next_batch(tmp_path: Path) -> None:
    runtime = load(twice(tmp_path, [-1, 2]))
    first = runtime.run({"x": np.ones((1, 2), np.float32)})["y"]
    runtime.run({"x": np.zeros((1, 2), np.float32)})
    assert first.tolist() == [[2, 2]]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("inference", ["f32", "bf16"])
@pytest.mark.parametrize("operation", ["add", "matmul"])
def test_a_wrong_shape_is_the_callers_fault_and_nobody_elses(
    tmp_path: Path, operation: str, inference: str, threads: int
) -> None:
    ops = ov().opset13
    a, b = ops.parameter([-1, -1], np.float32, name="a"), ops.parameter([-1, -1], np.float32, name="b")
    y = ops.add(a, b) if operation == "add" else ops.matmul(a, b, False, False)
    runtime = load(written(tmp_path, [named(y, "y")], [a, b], threads=threads, options={"inference": inference}))
    good = {"a": np.full((2, 2), 3, np.float32), "b": np.eye(2, dtype=np.float32)}
    wanted = runtime.run(good)["y"].tolist()
    for _ in range(2):
        with pytest.raises(BadInput, match="check shapes") as refusal:
            runtime.run({"a": np.ones((1, 3), np.float32), "b": np.ones((1, 2), np.float32)})
        assert "openvino" not in refusal.value.message.lower()
        assert runtime.run(good)["y"].tolist() == wanted


def network(folder: Path) -> tuple[ModelSpec, Array, Array]:
    case = openvino_ir(folder)
    return case.spec, case.inputs["x"], case.expected["result"]


@pytest.mark.parametrize("inference", ["f32", "bf16", "f16"])
def test_arithmetic(tmp_path: Path, inference: str) -> None:
    spec, x, wanted = network(tmp_path / "m")
    got = load(msgspec.structs.replace(spec, options={"inference": inference})).run({"x": x})["result"]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-5 if inference == "f32" else 0.05, atol=0.1)


def test_settings_that_do_not_fit(tmp_path: Path) -> None:
    spec, _, _ = network(tmp_path / "m")
    refused(msgspec.structs.replace(spec, options={"inference": "i4"}), ConfigError, "inference must be f32, bf16, f16")
    refused(msgspec.structs.replace(spec, output="label"), ConfigError, "output: label")
    with pytest.raises(ConfigError, match="openvino uses the CPU"):
        registry.check_settings("openvino", "cuda", [])


def test_weights_missing_cut_or_of_another_model(tmp_path: Path) -> None:
    spec, _, _ = network(tmp_path / "m")
    weights = Path(spec.path).with_suffix(".bin")
    data = weights.read_bytes()
    for other in (data[:-1], data + b"\0", b""):
        weights.write_bytes(other)
        refused(spec, ModelFileError, f"has {len(other)} bytes, the .xml file describes {len(data)}")
    weights.unlink()
    refused(spec, ModelFileError, "the .bin file of the same name must lie beside it")


def test_a_graph_without_weights_needs_no_bin_file(tmp_path: Path) -> None:
    spec = twice(tmp_path, [-1, 2])
    Path(spec.path).with_suffix(".bin").unlink(missing_ok=True)
    assert load(spec).run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[2, 2]]


@pytest.mark.parametrize("content", ["", "<net", "<html></html>", "half"])
def test_damaged_graphs(tmp_path: Path, content: str) -> None:
    spec, _, _ = network(tmp_path / "m")
    whole = Path(spec.path).read_text()
    Path(spec.path).write_text(whole[: len(whole) // 2] if content == "half" else content)
    refused(msgspec.structs.replace(spec, sha256=None), ModelFileError, "cannot load the file")


def test_onnx_files_when_asked(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "g", [helper.make_tensor_value_info("x", kind, ["rows", 2])],
        [helper.make_tensor_value_info("y", kind, ["rows", 2])],
    )  # fmt: skip
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    spec = ModelSpec(name="m", runtime="openvino", path=str(tmp_path / "m.onnx"), format="onnx")
    registry.check_reads(spec.runtime, spec.format)
    assert load(spec).run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[2, 2]]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString()[:-9])
    refused(spec, ModelFileError, "truncated or damaged")


LOADS = """
import sys
from penstock.core.errors import PenstockError
from penstock.core.model import ModelSpec
from penstock.runtimes.openvino import OpenvinoRuntime
for path in sys.argv[1:]:
    print("COPY", flush=True)
    try:
        OpenvinoRuntime().load(ModelSpec(name="m", runtime="openvino", path=path, format="openvino"))
        print("SAID loaded", flush=True)
    except PenstockError as error:
        print("SAID", type(error).__name__, flush=True)
"""


@pytest.mark.parametrize("part", [".xml", ".bin"])
def test_damaged_copies_never_end_the_process(tmp_path: Path, part: str) -> None:
    spec, _, _ = network(tmp_path / "m")
    source = Path(spec.path)
    paths = []
    for number in range(COPIES):
        for suffix in (".xml", ".bin"):
            data = source.with_suffix(suffix).read_bytes()
            content = damaged(data, number) if suffix == part else data
            (tmp_path / f"{number}{suffix}").write_bytes(content)
        paths.append(str(tmp_path / f"{number}.xml"))
    random.Random(0).shuffle(paths)
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *paths], capture_output=True, text=True, check=True, timeout=100
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("SAID")]
    assert len(said) == COPIES
    assert set(said) <= {"SAID loaded", "SAID ModelFileError"}
    assert said.count("SAID ModelFileError") >= COPIES // 3
