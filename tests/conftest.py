"""Models and servers that many tests share."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.telemetry import logs
from tests import servers

pytest_plugins = ("tests.services",)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where keys and costs are kept while tests run: never where the person's own are."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def _logs() -> None:
    """All of the log, whatever a test before this one has asked for."""
    logs.configure("info", "json")


@dataclass
class Iris:
    """A trained classifier as an object and as files, with the rows it was not trained on."""

    model: Any
    rows: Any
    onnx: Path
    joblib: Path

    @property
    def digest(self) -> str:
        """What `--trust` takes for the joblib file."""
        return "sha256:" + hashlib.sha256(self.joblib.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Iris:
    """Logistic regression on iris: a joblib file, and an ONNX file by skl2onnx."""
    import joblib
    import numpy as np
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    data = load_iris()
    train, rows, labels, _ = train_test_split(data.data.astype(np.float32), data.target, random_state=0)
    model = LogisticRegression(max_iter=1000).fit(train, labels)
    folder = tmp_path_factory.mktemp("iris")
    joblib.dump(model, folder / "iris_sk.joblib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx

        graph = to_onnx(model, train[:1], options={"zipmap": False})
    (folder / "iris.onnx").write_bytes(graph.SerializeToString())
    return Iris(model, rows, folder / "iris.onnx", folder / "iris_sk.joblib")


@pytest.fixture(scope="session")
def minilm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache ($PENSTOCK_CACHE) for all tests that serve the real MiniLM, so that it is converted once."""
    return tmp_path_factory.mktemp("model-cache")


@pytest.fixture(scope="session")
def house(iris: Iris) -> Iterator[servers.Server]:
    """A server with three models at default settings, shared by tests that do it no harm."""
    models = {
        "iris": iris.onnx,
        "iris_sk": {"source": str(iris.joblib), "trust": iris.digest},
        "moody": servers.moody(),
    }
    with servers.configured(models) as server:
        yield server
