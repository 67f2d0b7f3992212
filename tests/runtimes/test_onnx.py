"""ONNX: weights outside the file, and shapes that decide about batches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.errors import BadInput, ConfigError, MissingExtra, ModelFileError
from penstock.core.model import ModelSpec
from penstock.notebook.save import save, save_as
from penstock.repository.sources import resolve
from penstock.runtimes import external_data, registry
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.shapes import by_first_axis

onnx = pytest.importorskip("onnx")
FLOAT = onnx.TensorProto.FLOAT


def model(weight: Any, shape: Any = ("rows", 2), out: Any = None) -> Any:
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", FLOAT, list(out or shape))],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def external(location: str) -> Any:
    """A weight of two numbers that lies in another file."""
    tensor = onnx.TensorProto(name="w", data_type=FLOAT, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in {"location": location, "offset": "0", "length": "8"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def spec(path: Path) -> ModelSpec:
    return ModelSpec(name="m", runtime="onnx", path=str(path), format="onnx")


def written(folder: Path, weight: Any, **shapes: Any) -> ModelSpec:
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model(weight, **shapes).SerializeToString())
    return spec(folder / "m.onnx")


def inline() -> Any:
    return onnx.numpy_helper.from_array(np.array([1, 2], np.float32), "w")


WEIGHTS = np.array([10, 20], np.float32).tobytes()


@pytest.mark.parametrize("place", ["w.bin", "deep/er/w.bin"])
def test_weights_beside_the_model_are_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "m" / place).parent.mkdir(parents=True)
    (tmp_path / "m" / place).write_bytes(WEIGHTS)
    runtime = OnnxRuntime()
    runtime.load(written(tmp_path / "m", external(place)))
    assert runtime.run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[11, 21]]


@pytest.mark.parametrize(
    "place", ["../w.bin", "deep/../../w.bin", "/w.bin", "..\\w.bin", "C:w.bin", "", ".", "..", "*/_ORT_MEM_ADDR_/*"]
)
def test_weights_elsewhere_are_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    with pytest.raises(ModelFileError, match="keeps weights in") as refusal:
        OnnxRuntime().load(written(tmp_path / "m", external(place)))
    assert str(tmp_path) not in refusal.value.message


def test_weights_by_absolute_path_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    with pytest.raises(ModelFileError, match="outside its folder"):
        OnnxRuntime().load(written(tmp_path / "m", external(str(tmp_path / "w.bin"))))


def test_weights_behind_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    found = written(tmp_path / "m", external("w.bin"))
    (tmp_path / "m" / "w.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelFileError, match="a link"):
        OnnxRuntime().load(found)
    (tmp_path / "m" / "w.bin").unlink()
    os.link(tmp_path / "w.bin", tmp_path / "m" / "w.bin")
    with pytest.raises(ModelFileError, match="hard link"):
        OnnxRuntime().load(found)


def test_weights_behind_a_linked_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(WEIGHTS)
    found = written(tmp_path / "m", external("d/w.bin"))
    (tmp_path / "m" / "d").symlink_to(tmp_path)
    with pytest.raises(ModelFileError, match="a link"):
        OnnxRuntime().load(found)


def test_weights_too_short_are_refused(tmp_path: Path) -> None:
    found = written(tmp_path / "m", external("w.bin"))
    (tmp_path / "m" / "w.bin").write_bytes(WEIGHTS[:5])
    with pytest.raises(ModelFileError):
        OnnxRuntime().load(found)


@pytest.mark.parametrize("where", ["attribute", "subgraph", "function", "sparse"])
def test_hidden_places_are_searched(where: str) -> None:
    helper = onnx.helper
    secret = external("../secret")
    proto = model(inline())
    if where == "attribute":
        proto.graph.node.append(helper.make_node("Constant", [], ["c"], value=secret))
    elif where == "subgraph":
        inner = helper.make_graph([], "inner", [], [], [secret])
        proto.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner))
    elif where == "function":
        node = helper.make_node("Constant", [], ["c"], value=secret)
        proto.functions.append(helper.make_function("d", "f", [], ["c"], [node], [helper.make_opsetid("", 17)]))
    else:
        proto.graph.sparse_initializer.add().values.CopyFrom(secret)
    assert external_data.locations(proto.SerializeToString()) == {"../secret"}


def test_saving_takes_the_outside_weights_along(tmp_path: Path) -> None:
    found = written(tmp_path / "m", external("w.bin"))
    (tmp_path / "m" / "w.bin").write_bytes(WEIGHTS)
    saved = save_as(found.path, tmp_path / "saved", np.ones((1, 2), np.float32), remember=False)
    runtime = registry.create(saved.runtime)
    runtime.load(saved)
    assert runtime.run({"x": np.zeros((1, 2), np.float32)})["y"].tolist() == [[10, 20]]


@pytest.mark.parametrize(
    ("shape", "batched", "fixed"),
    [(("rows", 2), True, None), ((4, 2), True, 4), ((1, 2), True, 1), ((None, 2), True, None)],
)
def test_batching_by_shape(tmp_path: Path, shape: Any, batched: bool, fixed: int | None) -> None:
    signature = OnnxRuntime().load(written(tmp_path / "m", inline(), shape=shape))
    assert (signature.batched, signature.fixed_rows) == (batched, fixed)
    assert signature.inputs[0].shape == (-1, 2)


@pytest.mark.parametrize("axis", ["seq_len", "Time", "num_frames", "tokens", "image_height"])
def test_a_first_axis_named_as_a_sequence_does_not_count_rows(tmp_path: Path, axis: str) -> None:
    found = written(tmp_path / "m", inline(), shape=(axis, 2))
    assert not OnnxRuntime().load(found).batched
    assert OnnxRuntime().load(msgspec.structs.replace(found, batched=True)).batched


def test_the_setting_decides_about_batches(tmp_path: Path) -> None:
    rows = msgspec.structs.replace(written(tmp_path / "a", inline()), batched=False)
    assert not OnnxRuntime().load(rows).batched
    four = msgspec.structs.replace(written(tmp_path / "b", inline(), shape=(4, 2)), batched=False)
    signature = OnnxRuntime().load(four)
    assert (signature.batched, signature.fixed_rows, signature.inputs[0].shape) == (False, None, (4, 2))


def test_a_saved_decision_about_batches_is_kept(tmp_path: Path) -> None:
    save(model(inline()), tmp_path / "m", np.ones((3, 2), np.float32), batched=False)
    spec = resolve(str(tmp_path / "m"))
    assert spec.example == [[[1.0, 1.0]] * 3]
    assert not OnnxRuntime().load(spec).batched


def test_scalars_and_mixed_sizes_are_not_batched() -> None:
    from penstock.core.signature import TensorSpec

    row, four, scalar = TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "FP32", (4,)), TensorSpec("c", "FP32", ())
    one = TensorSpec("d", "FP32", (1, 9))
    assert by_first_axis([row], [row]).batched
    assert not by_first_axis([row], [four]).batched
    assert not by_first_axis([row, scalar], [row]).batched
    assert not by_first_axis([one], [four]).batched


def test_a_wrong_shape_is_the_callers_fault(tmp_path: Path) -> None:
    runtime = OnnxRuntime()
    runtime.load(written(tmp_path / "m", inline()))
    with pytest.raises(BadInput) as refusal:
        runtime.run({"x": np.ones((1, 3), np.float32)})
    assert "onnxruntime" not in refusal.value.message


def test_cuda_is_never_replaced_in_silence(tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine's ONNX Runtime has CUDA")
    found = written(tmp_path / "m", inline())
    with pytest.raises(MissingExtra, match="onnxruntime-gpu"):
        OnnxRuntime().load(ModelSpec(name="m", runtime="onnx", path=found.path, device="cuda:0"))


def test_text_goes_in_and_out(tmp_path: Path) -> None:
    helper, text = onnx.helper, onnx.TensorProto.STRING
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", text, ["rows"])],
        [helper.make_tensor_value_info("y", text, ["rows"])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    runtime = OnnxRuntime()
    assert runtime.load(spec(tmp_path / "m.onnx")).inputs[0].datatype == "BYTES"
    words = np.array(["größe".encode(), b""], dtype=object)
    assert runtime.run({"x": words})["y"].tolist() == words.tolist()
    with pytest.raises(BadInput, match="UTF-8"):
        runtime.run({"x": np.array([b"\xff"], dtype=object)})


def test_output_names_an_output_that_there_is(tmp_path: Path) -> None:
    found = msgspec.structs.replace(written(tmp_path / "m", inline()), output="label")
    with pytest.raises(ConfigError, match="fits none of the model's outputs: y"):
        OnnxRuntime().load(found)
