"""Small real models of every kind, each with rows it was not trained on and its own answers to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.model import ModelSpec
from penstock.core.tensors import Array, Tensor
from penstock.notebook.save import save_as
from penstock.repository.trust import digest_of

Arrays = dict[str, Array]


@dataclass
class Case:
    """A saved model. `inputs`: held-out rows; `expected`: what the model itself says to them."""

    spec: ModelSpec
    inputs: Arrays
    expected: Arrays

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))


def text(values: Any) -> Array:
    """BYTES from text."""
    return Tensor.of(np.asarray(values)).array


def file_spec(runtime: str, path: Path, format: str, **more: Any) -> ModelSpec:
    """A spec of a bare file that somebody vouched for."""
    sha256 = digest_of(path)
    return ModelSpec(name="m", runtime=runtime, path=str(path), format=format, sha256=sha256, trusted=True, **more)


def _split(data: Any) -> tuple[Any, Any, Any]:
    from sklearn.model_selection import train_test_split

    x, held_out, y, _ = train_test_split(data.data, data.target, test_size=20, random_state=0)
    return x, held_out, y


def _iris() -> tuple[Any, Any, Any]:
    from sklearn.datasets import load_iris

    return _split(load_iris())


def _both(model: Any, rows: Any) -> Arrays:
    return {"label": Tensor.of(model.predict(rows)).array, "probabilities": model.predict_proba(rows)}


def sklearn_classifier(folder: Path) -> Case:
    from sklearn.linear_model import LogisticRegression

    x, held_out, y = _iris()
    model = LogisticRegression(max_iter=500).fit(x, np.array(["setosa", "versicolor", "virginica"])[y])
    return Case(save_as(model, folder, x[:3], remember=False), {"input": held_out}, _both(model, held_out))


def sklearn_regressor(folder: Path) -> Case:
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import RandomForestRegressor

    x, held_out, y = _split(load_diabetes())
    model = RandomForestRegressor(8, random_state=0, n_jobs=-1).fit(x, y)
    return Case(save_as(model, folder, remember=False), {"input": held_out}, {"output": model.predict(held_out)})


def sklearn_transformer(folder: Path) -> Case:
    from sklearn.datasets import load_wine
    from sklearn.decomposition import PCA

    x, held_out, _ = _split(load_wine())
    model = PCA(3).fit(x)
    return Case(
        save_as(model, folder, x[:2], remember=False), {"input": held_out}, {"output": model.transform(held_out)}
    )


def houses() -> Any:
    """A table with text, whole numbers, fractions, flags and a categorical column."""
    import pandas as pd

    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "city": random.choice(["Bern", "Lyon", "Graz"], 60),
            "rooms": random.integers(1, 6, 60),
            "area": random.uniform(20, 120, 60),
            "garden": random.choice([True, False], 60),
            "kind": pd.Categorical(random.choice(["flat", "house"], 60)),
        }
    )


def sklearn_frame(folder: Path) -> Case:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = houses()
    dear = np.where(table.rooms * table.area > 150, "dear", "cheap")
    columns = make_column_transformer(
        (OneHotEncoder(), ["city", "kind"]), (StandardScaler(), ["rooms", "area"]), ("passthrough", ["garden"])
    )
    model = make_pipeline(columns, LogisticRegression()).fit(table[:40], dear[:40])
    held_out = table[40:]
    inputs = {name: Tensor.of(np.asarray(held_out[name])).array for name in table.columns}
    return Case(save_as(model, folder, table[:2], remember=False), inputs, _both(model, held_out))


def sklearn_text(folder: Path) -> Case:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    model.fit(["good film", "bad film", "very good", "so bad", "fine play", "dull play"] * 3, [1, 0, 1, 0, 1, 0] * 3)
    said = ["a good play", "bad bad film", "", "größte Kunst: fine"]
    return Case(save_as(model, folder, remember=False), {"input": text(said)}, _both(model, said))


def sklearn_gradient_frame(folder: Path) -> Case:
    from sklearn.ensemble import HistGradientBoostingRegressor

    table = houses()[["rooms", "area", "kind"]]
    model = HistGradientBoostingRegressor(max_iter=5, categorical_features="from_dtype").fit(table, table.area)
    inputs = {name: Tensor.of(np.asarray(table[name][:9])).array for name in table.columns}
    return Case(save_as(model, folder, table[:2], remember=False), inputs, {"output": model.predict(table[:9])})


def skops(folder: Path) -> Case:
    pytest.importorskip("skops")
    import skops.io
    from sklearn.svm import SVC

    x, held_out, y = _iris()
    model = SVC().fit(x, y)
    folder.mkdir()
    skops.io.dump(model, folder / "model.skops")
    spec = file_spec("sklearn", folder / "model.skops", "skops")
    spec = msgspec.structs.replace(spec, trusted=False)
    return Case(spec, {"input": held_out}, {"label": model.predict(held_out)})


def xgboost_classifier(folder: Path) -> Case:
    xgboost = pytest.importorskip("xgboost")
    x, held_out, y = _iris()
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(x, y)
    inputs = {"input": held_out.astype(np.float32)}
    return Case(save_as(model, folder, x[:2], remember=False), inputs, _both(model, inputs["input"]))


def xgboost_binary_json(folder: Path) -> Case:
    xgboost = pytest.importorskip("xgboost")
    x, held_out, y = _iris()
    model = xgboost.XGBClassifier(n_estimators=5, n_jobs=1).fit(x, y > 0)
    folder.mkdir()
    model.get_booster().save_model(folder / "model.json")
    spec = file_spec("xgboost", folder / "model.json", "xgboost-json", classes=[False, True])
    inputs = {"input": held_out.astype(np.float32)}
    return Case(
        spec, inputs, {"label": model.predict(held_out).astype(bool), "probabilities": model.predict_proba(held_out)}
    )


def xgboost_regressor(folder: Path) -> Case:
    xgboost = pytest.importorskip("xgboost")
    table = houses()[["rooms", "area"]]
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(table[:40], table.area[:40])
    held_out = table[40:].astype(np.float32)
    inputs = {name: held_out[name].to_numpy() for name in table.columns}
    return Case(save_as(model, folder, table[:2], remember=False), inputs, {"output": model.predict(held_out)})


def lightgbm_classifier(folder: Path) -> Case:
    lightgbm = pytest.importorskip("lightgbm")
    x, held_out, y = _iris()
    model = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(x, np.array(["a", "b", "c"])[y])
    return Case(save_as(model, folder, x[:2], remember=False), {"input": held_out}, _both(model, held_out))


def lightgbm_regressor(folder: Path) -> Case:
    lightgbm = pytest.importorskip("lightgbm")
    x, held_out, y = _iris()
    model = lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1).fit(x, y)
    spec = save_as(model.booster_, folder, x[:2], remember=False)
    return Case(spec, {"input": held_out}, {"output": model.predict(held_out)})


def onnx_zipmap(folder: Path) -> Case:
    return _onnx(folder, zipmap=True)


def onnx_plain(folder: Path) -> Case:
    return _onnx(folder, zipmap=False)


def _onnx(folder: Path, zipmap: bool) -> Case:
    convert = pytest.importorskip("skl2onnx").to_onnx
    from sklearn.linear_model import LogisticRegression

    x, held_out, y = _iris()
    x, held_out = x.astype(np.float32), held_out.astype(np.float32)
    model = LogisticRegression(max_iter=500).fit(x, np.array(["setosa", "versicolor", "virginica"])[y])
    proto = convert(model, x[:1], options={"zipmap": zipmap}, target_opset=17)
    name = proto.graph.input[0].name
    return Case(save_as(proto, folder, x[:2], remember=False), {name: held_out}, _both(model, held_out))


def onnx_fixed_rows(folder: Path) -> Case:
    """A graph that takes four rows at a time."""

    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "twice",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 2])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 2])],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    return Case(save_as(proto, folder, x, remember=False), {"x": x}, {"y": x + x})


def _network() -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()


def _answers(module: Any, x: Array) -> Array:
    import torch

    with torch.no_grad():
        answer: Array = module(torch.from_numpy(x)).numpy()
    return answer


def _torch_rows() -> Array:
    return np.random.default_rng(1).normal(size=(9, 4)).astype(np.float32)


def torch_export(folder: Path) -> Case:
    module, x = _network(), _torch_rows()
    return Case(save_as(module, folder, x[:1], remember=False), {"input": x}, {"output": _answers(module, x)})


def torchscript(folder: Path) -> Case:
    module, x = _network(), _torch_rows()
    import torch

    folder.mkdir()
    jit: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        jit.trace(module, torch.from_numpy(x)).save(str(folder / "m.pt"))
    spec = file_spec("torch", folder / "m.pt", "torchscript", example=x[:2].tolist())
    return Case(spec, {"input": x}, {"output": _answers(module, x)})


def torch_pickle(folder: Path) -> Case:
    module, x = _network(), _torch_rows()
    import torch

    folder.mkdir()
    torch.save(module, folder / "m.pt")
    spec = file_spec("torch", folder / "m.pt", "torch-pickle", example=x[:2].tolist())
    return Case(spec, {"input": x}, {"output": _answers(module, x)})


def function_text(folder: Path) -> Case:
    def shout(texts: list[str]) -> list[str]:
        return [each.upper() for each in texts]

    said = ["a", "Straße", ""]
    return Case(save_as(shout, folder, remember=False), {"texts": text(said)}, {"output": text(shout(said))})


def function_columns(folder: Path) -> Case:
    def area(width: Any, height: Any) -> Any:
        return {"area": width * height, "tall": height > width}

    inputs = {"width": np.array([1.0, 2.0, 3.0]), "height": np.array([2.0, 2.0, 2.0])}
    example = [{"width": 3, "height": 2}]
    expected = {"area": np.array([2.0, 4.0, 6.0]), "tall": np.array([True, False, False])}
    return Case(save_as(area, folder, example, remember=False), inputs, expected)


def python_file(folder: Path) -> Case:
    folder.mkdir()
    (folder / "scale.py").write_text(
        "from penstock.runtimes.model import Model\n"
        "class Scale(Model):\n"
        "    def load(self):\n"
        "        self.factor = 3\n"
        "    def predict(self, rows):\n"
        "        return rows * self.factor\n"
    )
    path = f"{folder / 'scale.py'}:Scale"
    spec = ModelSpec(name="m", runtime="callable", path=path, format="python", example=[[1, 2]])
    x = np.arange(6.0).reshape(3, 2)
    return Case(spec, {"rows": x}, {"output": x * 3})


def openvino_ir(folder: Path) -> Case:
    pytest.importorskip("openvino")
    from penstock.runtimes.openvino import library

    openvino = library()
    ops = openvino.opset13
    folder.mkdir()
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    x = ops.parameter([-1, 4], np.float32, name="x")
    y = ops.relu(ops.matmul(x, ops.constant(weights), False, False), name="y")
    y.output(0).get_tensor().set_names({"y", "result"})
    openvino.save_model(openvino.Model([y], [x], "m"), folder / "m.xml", compress_to_fp16=False)
    rows = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    spec = file_spec("openvino", folder / "m.xml", "openvino", example=rows[:2].tolist())
    return Case(spec, {"x": rows}, {"result": np.maximum(rows @ weights, 0)})


def text_embedding(folder: Path) -> Case:
    pytest.importorskip("transformers")
    from tests.runtimes.text import tiny

    model = tiny.make(folder, "distilbert", "embedding")
    expected = {
        "embedding": np.stack([model.torch(said)[0].mean(axis=0) for said in tiny.TEXTS]),
        "tokens": np.array([len(model.tokenizer.encode(said)) for said in tiny.TEXTS]),
        "truncated": np.zeros(len(tiny.TEXTS), bool),
    }
    spec = file_spec("text", folder / "model.onnx", "onnx", options=model.spec.options, example=["a text", "another"])
    return Case(spec, {"text": tiny.texts(tiny.TEXTS)}, expected)


CASES: dict[str, Callable[[Path], Case]] = {
    build.__name__: build
    for build in (
        sklearn_classifier, sklearn_regressor, sklearn_transformer, sklearn_frame, sklearn_text, sklearn_gradient_frame,
        skops, xgboost_classifier, xgboost_binary_json, xgboost_regressor, lightgbm_classifier, lightgbm_regressor,
        onnx_zipmap, onnx_plain, onnx_fixed_rows, torch_export, torchscript, torch_pickle, function_text,
        function_columns, python_file, openvino_ir, text_embedding,
    )
}  # fmt: skip
