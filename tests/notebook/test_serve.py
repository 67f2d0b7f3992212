"""`penstock.serve` on live objects: real servers, real workers, answers as the model gives them itself."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import penstock

X, y = load_iris(return_X_y=True)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True) if child.is_running()}


def test_a_classifier_serves_and_stops_without_a_trace() -> None:
    before, threads = children(), threading.active_count()
    model = LogisticRegression(max_iter=500).fit(X, y)
    with penstock.serve(model, example=X[:1], name="iris", port=0) as server:
        answers = server.predict(X[:10].tolist())
        assert [answer["label"] for answer in answers] == model.predict(X[:10]).tolist()
        assert np.allclose([answer["probabilities"] for answer in answers], model.predict_proba(X[:10]), atol=1e-12)
        assert children() - before
    assert children() - before == set()
    assert threading.active_count() == threads
    assert not (Path(os.environ["PENSTOCK_HOME"]) / "trust.json").exists()


def test_a_pipeline_on_named_columns() -> None:
    rows = 60
    frame = pd.DataFrame({"age": np.arange(rows) % 50 + 18.0, "city": ["Oslo", "Bergen", "Bodø"] * (rows // 3)})
    steps = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["city"])])
    target = np.where(frame["city"] == "Oslo", "north", "south")
    model = make_pipeline(steps, LogisticRegression()).fit(frame, target)
    with penstock.serve(model, example=frame[:2], name="people", port=0, output="label") as server:
        by_dict = server.predict([{"city": "Bodø", "age": 44.0}, {"age": 20.0, "city": "Oslo"}])
        assert by_dict == model.predict(pd.DataFrame({"age": [44.0, 20.0], "city": ["Bodø", "Oslo"]})).tolist()
        assert server.predict(frame) == model.predict(frame).tolist()
        with pytest.raises(penstock.BadInput, match="city"):
            server.predict([{"age": 44.0}])


def test_an_xgboost_model() -> None:
    xgboost = pytest.importorskip("xgboost")
    model = xgboost.XGBClassifier(n_estimators=5, max_depth=2).fit(X, y)
    with penstock.serve(model, example=X[:1], port=0) as server:
        answers = server.predict(X[::10].tolist())
        assert [answer["label"] for answer in answers] == model.predict(X[::10]).tolist()


def test_a_torch_module() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
    batch = X[:5].astype(np.float32)
    with penstock.serve(model, example=batch[:2], name="net", port=0) as server:
        with torch.no_grad():
            expected = model(torch.from_numpy(batch)).numpy()
        assert np.allclose(server.predict(batch.tolist()), expected, atol=1e-5)


def test_a_function_with_a_closure() -> None:
    factor = 3.0

    def triple(x: np.ndarray) -> np.ndarray:
        return x * factor

    with penstock.serve(triple, example=np.array([1.0, 2.0]), port=0) as server:
        assert server.name == "triple"
        assert server.predict([1.0, 2.5]) == [3.0, 7.5]


def test_an_onnx_path(tmp_path: Path) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    model = LogisticRegression(max_iter=500).fit(X, y)
    path = tmp_path / "iris.onnx"
    options = {"zipmap": False}
    path.write_bytes(skl2onnx.to_onnx(model, X[:1].astype(np.float32), options=options).SerializeToString())
    with penstock.serve(path, port=0) as server:
        assert server.name == "iris"
        assert [a["label"] for a in server.predict(X[:4].tolist())] == model.predict(X[:4]).tolist()


def test_what_cannot_leave_the_process_runs_inline() -> None:
    lock = threading.Lock()

    def guarded(x: np.ndarray) -> np.ndarray:
        with lock:
            return x + 1

    with pytest.raises(penstock.PenstockError, match="inline"):
        penstock.serve(guarded, example=np.array([1.0]), port=0)
    before = children()
    with penstock.serve(guarded, example=np.array([1.0]), port=0, placement="inline") as server:
        assert server.predict([1.0, 2.0]) == [2.0, 3.0]
        assert children() == before


def test_a_model_that_fails_on_its_own_example_is_not_served() -> None:
    def broken(x: np.ndarray) -> Any:
        raise ValueError("no such thing")

    before = children()
    with pytest.raises(penstock.PenstockError, match="no such thing"):
        penstock.serve(broken, example=np.array([1.0]), port=0)
    assert children() == before


def test_a_wrong_setting_names_itself() -> None:
    with pytest.raises(penstock.PenstockError, match="replica"):
        penstock.serve(lambda x: x, example=np.array([1.0]), port=0, replica=2)


def test_two_servers_side_by_side() -> None:
    def double(x: np.ndarray) -> np.ndarray:
        return x * 2

    with penstock.serve(double, example=np.array([1.0])) as one, penstock.serve(double, example=np.array([1.0])) as two:
        assert one.url != two.url
        assert one.predict([1.0]) == two.predict([1.0]) == [2.0]


@pytest.mark.parametrize("placement", ["process", "inline"])
def test_a_model_that_takes_one_input_at_a_time(placement: str) -> None:
    def mean(values: Any) -> Any:
        return np.array([values.mean()])

    with penstock.serve(mean, example=[1.0, 2.0], name="mean", port=0, batched=False, placement=placement) as server:
        assert server.predict([[1.0, 2.0, 6.0]]) == [[3.0]]


def test_regressors_and_boosters_not_batched(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(X, y)
    with penstock.serve(model, example=X[:4], name="m", port=0, batched=False) as server:
        assert np.allclose(server.predict([X[:6].tolist()])[0], model.predict(X[:6]))


def test_a_path_with_an_example(tmp_path: Path) -> None:
    import joblib

    model = LogisticRegression(max_iter=500).fit(X, y)
    joblib.dump(model, tmp_path / "m.joblib")
    digest = "sha256:" + hashlib.sha256((tmp_path / "m.joblib").read_bytes()).hexdigest()
    columns = pd.DataFrame(X[:2], columns=["a", "b", "c", "d"])
    with penstock.serve(tmp_path / "m.joblib", example=X[:2].astype("f4"), port=0, trust=digest) as server:
        [deployment] = server._app.fleet.all()
        assert deployment.spec.example == X[:2].astype("f4").tolist()
    with penstock.serve(tmp_path / "m.joblib", example=columns, port=0, trust=digest) as server:
        [deployment] = server._app.fleet.all()
        assert deployment.spec.example == columns.to_dict("records")


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=500).fit(X, y), "m.joblib", Path("m.onnx")])
def test_inline_is_for_functions(model: Any) -> None:
    with pytest.raises(penstock.ConfigError, match="for functions and"):
        penstock.serve(model, example=X[:1], port=0, name="m", placement="inline")


def test_an_inline_function_may_write_to_its_input() -> None:
    def doubled(values: Any) -> Any:
        values *= 2
        return values

    with penstock.serve(doubled, example=[1.0, 2.0], port=0, placement="inline") as server:
        assert server.predict([4.0]) == [8.0]
