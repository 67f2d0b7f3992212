"""XGBoost and LightGBM: every objective's numbers, and documents that do not hold together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.notebook.save import save_as
from penstock.runtimes import ubjson, xgboost_check
from penstock.runtimes.xgboost import XgboostRuntime
from tests.runtimes.models import houses

xgboost: Any = pytest.importorskip("xgboost")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(200, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)

OBJECTIVES: dict[str, tuple[dict[str, Any], Any]] = {
    "dart": ({"booster": "dart", "objective": "binary:logistic"}, Y),
    "linear": ({"booster": "gblinear", "objective": "binary:logistic", "updater": "coord_descent"}, Y),
    "exact, pruned": ({"tree_method": "exact", "gamma": 1.0}, Y),
    "by loss": ({"grow_policy": "lossguide", "max_leaves": 20, "tree_method": "hist"}, Y),
    "hinge": ({"objective": "binary:hinge"}, Y),
    "softmax": ({"objective": "multi:softmax", "num_class": 3}, Y + (X[:, 1] > 0)),
    "softprob": ({"objective": "multi:softprob", "num_class": 3}, Y + (X[:, 1] > 0)),
    "two targets": ({}, np.c_[Y, X[:, 1]]),
    "two targets in one tree": ({"multi_strategy": "multi_output_tree", "tree_method": "hist"}, np.c_[Y, X[:, 1]]),
    "forest": ({"num_parallel_tree": 3, "subsample": 0.5}, Y),
    "ranking": ({"objective": "rank:pairwise"}, Y),
    "counts": ({"objective": "count:poisson"}, Y),
}


def trained(name: str) -> Any:
    settings, target = OBJECTIVES[name]
    return xgboost.train({"nthread": 1, **settings}, xgboost.DMatrix(X, label=target), 5)


@pytest.mark.parametrize("ending", ["ubj", "json"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(tmp_path: Path, name: str, ending: str) -> None:
    booster = trained(name)
    path = tmp_path / f"m.{ending}"
    booster.save_model(path)
    runtime = XgboostRuntime()
    signature = runtime.load(ModelSpec(name="m", runtime="xgboost", path=str(path), format=f"xgboost-{ending}"))
    outputs, own = runtime.run({"input": X}), booster.predict(xgboost.DMatrix(X))
    assert list(outputs) == list(signature.output_names())
    if name in ("dart", "linear"):
        own = np.column_stack([1 - own, own])
    elif name in ("softmax", "hinge"):
        assert outputs["label"].tolist() == own.tolist()
        return
    np.testing.assert_allclose(list(outputs.values())[-1], own, atol=1e-6)


def test_early_stopping_answers_with_the_best_round(tmp_path: Path) -> None:
    model = xgboost.XGBRegressor(n_estimators=50, early_stopping_rounds=2, n_jobs=1)
    model.fit(X[:100], Y[:100], eval_set=[(X[100:], RANDOM.normal(size=100))], verbose=False)
    spec = save_as(model, tmp_path / "m", X[:1], remember=False)
    runtime = XgboostRuntime()
    runtime.load(spec)
    assert model.best_iteration < 49
    np.testing.assert_allclose(runtime.run({"input": X})["output"], model.predict(X), atol=1e-6)


def test_text_columns_are_refused(tmp_path: Path) -> None:
    model = xgboost.XGBRegressor(n_estimators=2, enable_categorical=True)
    table = houses()[["kind", "area"]]
    model.fit(table, table.area)
    with pytest.raises(ModelFileError, match="'kind' is text"):
        save_as(model, tmp_path / "m", table[:2])


def test_classes_must_be_as_many_as_the_models(tmp_path: Path) -> None:
    trained("softprob").save_model(tmp_path / "m.ubj")
    spec = ModelSpec(
        name="m", runtime="xgboost", path=str(tmp_path / "m.ubj"), format="xgboost-ubj", classes=["a", "b"]
    )
    with pytest.raises(ModelFileError, match="has 3 classes, but 2 are named"):
        XgboostRuntime().load(spec)


def tampered(**changes: Any) -> bytes:
    """A small model's document with values of its first tree replaced."""
    document = json.loads(bytes(trained("forest").save_raw("json")))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    for key, value in changes.items():
        (tree["tree_param"] if key in tree["tree_param"] else tree)[key] = value(tree) if callable(value) else value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"num_nodes": "100000000"},
        {"num_nodes": "0"},
        {"num_nodes": "x"},
        {"left_children": lambda tree: [10**6, *tree["left_children"][1:]]},
        {"left_children": lambda tree: [0, *tree["left_children"][1:]]},
        {"right_children": lambda tree: [tree["left_children"][0], *tree["right_children"][1:]]},
        {"split_indices": lambda tree: [4, *tree["split_indices"][1:]]},
        {"split_conditions": []},
        {"num_feature": "5"},
        {"id": 7},
    ],
)
def test_trees_that_point_nowhere_are_refused(changes: dict[str, Any]) -> None:
    xgboost_check.check(tampered())
    with pytest.raises(ModelFileError, match="do not fit together"):
        xgboost_check.check(tampered(**changes))


@pytest.mark.parametrize("name", ["forest", "linear"])
def test_ubjson_says_what_json_says(name: str) -> None:
    booster = trained(name)
    written = json.loads(bytes(booster.save_raw("json")))
    read = ubjson.parse(bytes(booster.save_raw("ubj")))
    assert read.keys() == written.keys()
    assert read["learner"]["learner_model_param"] == written["learner"]["learner_model_param"]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[", b"{}x", b"Q", b"SL\x7f" + b"\xff" * 7, b"[$d#L" + b"\x7f" + b"\xff" * 7, b"[#L" + b"\xff" * 8,
        b"[$d#L" + b"\xff" * 8, b"[$Z#i\x01", b"{i\x01aSi\x05ab}", b"Si\x01\xff", b"[" * 100, b"[#i\x7f", b"L\x00",
    ],
)  # fmt: skip
def test_ubjson_that_promises_too_much_is_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        ubjson.parse(data)
