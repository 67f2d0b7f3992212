"""The models that every contestant serves, and the answers that each of them must give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

IRIS_ROW = [5.1, 3.5, 1.4, 0.2]
IMAGE_SHAPE = (1, 3, 224, 224)


@dataclass(frozen=True, slots=True)
class Models:
    """Files on disk, and what the models themselves say about the inputs that the load sends."""

    folder: Path
    iris_onnx: Path
    iris_joblib: Path
    vision_onnx: Path
    image: npt.NDArray[np.float32]
    iris_label: int
    iris_probabilities: list[float]
    vision_scores: list[float]


def write_models(folder: Path) -> Models:
    """Train, export and run every model once."""
    folder.mkdir(parents=True, exist_ok=True)
    iris_onnx, iris_joblib, vision_onnx = (folder / name for name in ("iris.onnx", "iris.joblib", "vision.onnx"))
    _write_iris(iris_joblib, iris_onnx)
    _write_vision(vision_onnx)
    _write_mlserver_settings(folder / "mlserver", iris_joblib)
    image = np.random.default_rng(7).random(IMAGE_SHAPE, dtype=np.float32)
    label, probabilities = _run(iris_onnx, np.array([IRIS_ROW], np.float32))
    (scores,) = _run(vision_onnx, image)
    return Models(
        folder=folder,
        iris_onnx=iris_onnx,
        iris_joblib=iris_joblib,
        vision_onnx=vision_onnx,
        image=image,
        iris_label=int(label[0]),
        iris_probabilities=[float(p) for p in probabilities[0]],
        vision_scores=[float(s) for s in scores[0]],
    )


def _write_iris(joblib_path: Path, onnx_path: Path) -> None:
    import joblib
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(features, labels)
    joblib.dump(model, joblib_path)
    exported = to_onnx(model, features[:1].astype(np.float32), options={"zipmap": False}, target_opset=17)
    onnx_path.write_bytes(exported.SerializeToString())


def _write_vision(path: Path) -> None:
    """One strided convolution and a global pool: the arithmetic is negligible beside moving the pixels."""
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = np.random.default_rng(3).normal(0, 0.1, (8, 3, 8, 8)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["pixels", "weights"], ["features"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("Relu", ["features"], ["active"]),
            helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["scores"], axis=1),
        ],
        "vision",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", *IMAGE_SHAPE[1:]])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _write_mlserver_settings(folder: Path, iris_joblib: Path) -> None:
    folder.mkdir(exist_ok=True)
    model = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(iris_joblib)},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps({"debug": False, "host": "127.0.0.1"}))


def _run(path: Path, array: npt.NDArray[np.float32]) -> list[npt.NDArray[np.generic]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs: list[npt.NDArray[np.generic]] = session.run(None, {session.get_inputs()[0].name: array})
    return outputs
