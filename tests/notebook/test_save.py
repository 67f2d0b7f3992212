"""From a live object to a folder that serves, in your own hands without a flag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.core.errors import ConfigError, ModelFileError, UntrustedFile
from penstock.notebook.save import save
from penstock.repository.sources import resolve
from penstock.repository.trust import TrustStore
from penstock.runtimes import registry


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def classifier() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]] * 4, ["no", "yes"] * 4)


def test_save_resolve_load_run(tmp_path: Path) -> None:
    model = classifier()
    folder = save(model, tmp_path / "m", example=[[0.0, 1.0]], name="answer", version="3")
    spec = resolve(str(folder))
    assert (spec.name, spec.version, spec.trusted, spec.classes) == ("answer", "3", True, ["no", "yes"])
    runtime = registry.create(spec.runtime)
    signature = runtime.load(spec)
    assert signature == spec.signature
    rows = np.array([[0.2, 0.9], [3.0, 0.0]])
    outputs = runtime.run({"input": rows})
    assert outputs["label"].tolist() == [b"no", b"yes"]
    np.testing.assert_allclose(outputs["probabilities"], model.predict_proba(rows))


def test_somebody_elses_folder_needs_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save(classifier(), tmp_path / "m")
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "other"))
    with pytest.raises(UntrustedFile, match="--trust sha256:"):
        resolve(str(folder))


def test_manifest_is_for_people_too(tmp_path: Path) -> None:
    folder = save(classifier(), tmp_path / "my model", example=[[0.0, 1.0]])
    manifest = json.loads((folder / "penstock.json").read_text())
    assert manifest["name"] == "my-model"
    assert manifest["example"] == [[0.0, 1.0]]
    assert manifest["libraries"]["scikit-learn"]
    assert manifest["created_at"].endswith("+00:00")
    assert str(tmp_path) not in (folder / "penstock.json").read_text()


def test_saving_again_replaces(tmp_path: Path) -> None:
    save(classifier(), tmp_path / "m")
    save(lambda rows: rows, tmp_path / "m", example=[1.0])
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["function.pkl", "penstock.json"]
    assert resolve(str(tmp_path / "m")).runtime == "callable"


def test_a_failed_save_leaves_the_old_one(tmp_path: Path) -> None:
    save(classifier(), tmp_path / "m")

    def broken(rows: Any) -> Any:
        raise ValueError("always")

    with pytest.raises(ModelFileError, match="fails on its own example: ValueError: always"):
        save(broken, tmp_path / "m", example=[1.0])
    assert resolve(str(tmp_path / "m")).runtime == "sklearn"
    assert {path.name for path in tmp_path.iterdir()} == {"m", "home"}


def test_nothing_is_trusted_when_saving_fails(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        save(lambda rows: [1, 2, 3][rows], tmp_path / "m", example=["text"])
    assert TrustStore().digests() == frozenset()


def test_data_only_formats_are_not_added_to_the_trust_store(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    save(xgboost.XGBClassifier(n_estimators=2).fit([[0.0], [1.0]], [0, 1]), tmp_path / "m")
    assert TrustStore().digests() == frozenset()
    assert resolve(str(tmp_path / "m")).runtime == "xgboost"


@pytest.mark.parametrize("obj", [3, None, {"a": 1}, "iris.csv", object()])
def test_what_cannot_be_served_says_what_can(tmp_path: Path, obj: Any) -> None:
    with pytest.raises(ModelFileError, match="scikit-learn, XGBoost and LightGBM models"):
        save(obj, tmp_path / "m")


def test_bad_names_and_versions(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the name 'a/b' cannot be used"):
        save(classifier(), tmp_path / "m", name="a/b")
    with pytest.raises(ConfigError, match=r"the version '\.\./1' cannot be used"):
        save(classifier(), tmp_path / "m", version="../1")
    assert not (tmp_path / "m").exists()


def test_a_lambda_inside_a_pipeline_goes_along(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    model = make_pipeline(FunctionTransformer(lambda x: x * 2), FunctionTransformer()).fit([[1.0]])
    spec = resolve(str(save(model, tmp_path / "m", example=[[1.0]])))
    runtime = registry.create(spec.runtime)
    runtime.load(spec)
    assert runtime.run({"input": np.array([[4.0]])})["output"].tolist() == [[8.0]]
