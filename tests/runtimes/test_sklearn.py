"""scikit-learn: versions, columns, faults of the input, and skops."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.errors import BadInput, ConfigError, MissingExtra, ModelFileError, UntrustedFile
from penstock.core.model import ModelSpec
from penstock.core.tensors import Tensor
from penstock.notebook.save import save_as
from penstock.repository.trust import digest_of
from penstock.runtimes.sklearn import SklearnRuntime, accepts, methods
from tests.runtimes.models import CASES, file_spec, houses, text


def dumped(folder: Path, obj: Any, **more: Any) -> ModelSpec:
    path = folder / "m.pkl"
    path.write_bytes(pickle.dumps(obj))
    return file_spec("sklearn", path, "pickle", **more)


def line(**settings: Any) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression(**settings).fit([[0.0], [1.0]], [0.0, 2.0])


def test_another_version_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), line()).fit([[0.0], [1.0]], [0.0, 2.0])
    import sklearn

    here = sklearn.__version__.encode()
    data = pickle.dumps(model).replace(here, b"0" * (len(here) - 2) + b".1")
    (tmp_path / "m.pkl").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        SklearnRuntime().load(file_spec("sklearn", tmp_path / "m.pkl", "pickle"))
    [record] = caplog.records
    assert f"runs on {sklearn.__version__}" in record.getMessage()


def test_nan_and_unknown_categories_are_the_callers_fault(tmp_path: Path) -> None:
    runtime = SklearnRuntime()
    runtime.load(dumped(tmp_path, line()))
    with pytest.raises(BadInput, match="NaN"):
        runtime.run({"input": np.array([[np.nan]])})

    case = CASES["sklearn_frame"](tmp_path / "frame")
    runtime.load(case.spec)
    with pytest.raises(BadInput, match="Found unknown categories"):
        runtime.run({**case.inputs, "city": text(["Oslo"] * case.rows)})
    with pytest.raises(BadInput, match="'kind' takes only: flat, house"):
        runtime.run({**case.inputs, "kind": text(["tent"] * case.rows)})
    with pytest.raises(BadInput, match="UTF-8"):
        runtime.run({**case.inputs, "city": np.array([b"\xff"] * case.rows, dtype=object)})
    assert len(runtime.run(case.inputs)["label"]) == case.rows


def test_columns_keep_their_datatypes(tmp_path: Path) -> None:
    spec = CASES["sklearn_frame"](tmp_path / "frame").spec
    assert spec.signature is not None
    kinds = {i.name: i.datatype for i in spec.signature.inputs}
    assert kinds == {"city": "BYTES", "rooms": "INT64", "area": "FP64", "garden": "BOOL", "kind": "BYTES"}
    assert all(i.shape == (-1,) for i in spec.signature.inputs)
    assert isinstance(spec.example, list)
    assert isinstance(spec.example[0]["city"], str)


def test_columns_without_example_are_numbers(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    table = houses()[["rooms", "area"]]
    model = LinearRegression().fit(table, table.area)
    signature = SklearnRuntime().load(dumped(tmp_path, model))
    assert [(i.name, i.datatype) for i in signature.inputs] == [("rooms", "FP64"), ("area", "FP64")]


def test_example_must_have_the_columns(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    table = houses()[["rooms", "area"]]
    spec = dumped(tmp_path, LinearRegression().fit(table, table.area), example=[{"rooms": 1}])
    with pytest.raises(ModelFileError, match="lacks columns that the model was fitted on: area"):
        SklearnRuntime().load(spec)


def test_a_model_that_needs_an_example_says_so(tmp_path: Path) -> None:
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder().fit(houses()[["city"]])
    with pytest.raises(ModelFileError, match="give a row or two of input as example"):
        SklearnRuntime().load(dumped(tmp_path, encoder))
    signature = SklearnRuntime().load(dumped(tmp_path, encoder, example=[{"city": "Bern"}]))
    assert signature.outputs[0].shape == (-1, 3)


def test_missing_numbers_in_an_example(tmp_path: Path) -> None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    table = houses()[["rooms", "area"]].astype(float)
    table.loc[0, "area"] = np.nan
    model = HistGradientBoostingRegressor(max_iter=3).fit(table, table.rooms)
    spec = save_as(model, tmp_path / "m", table[:3], remember=False)
    assert spec.example is not None
    assert len(spec.example) == 2


def test_no_probabilities(tmp_path: Path) -> None:
    from sklearn.svm import LinearSVC

    spec = dumped(tmp_path, LinearSVC().fit([[0.0], [1.0]], [0, 1]))
    assert SklearnRuntime().load(spec).output_names() == ("label",)
    with pytest.raises(ConfigError, match="no probabilities"):
        SklearnRuntime().load(msgspec.structs.replace(spec, output="probabilities"))


def test_several_targets(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(3).fit([[0.0], [1.0]] * 5, [[0, 1], [1, 0]] * 5)
    runtime = SklearnRuntime()
    signature = runtime.load(dumped(tmp_path, model))
    assert [(o.name, o.shape) for o in signature.outputs] == [("label", (-1, 2))]
    assert runtime.run({"input": np.array([[0.0]])})["label"].tolist() == [[0, 1]]


@pytest.mark.parametrize("obj", [{"weights": [1]}, [1, 2], len])
def test_a_pickle_of_something_else(tmp_path: Path, obj: Any) -> None:
    with pytest.raises(ModelFileError, match="neither predict nor transform"):
        SklearnRuntime().load(dumped(tmp_path, obj))


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"\x80\x02cno_such_library\nNet\n.")
    with pytest.raises(MissingExtra, match="no_such_library"):
        SklearnRuntime().load(file_spec("sklearn", path, "pickle"))


def test_not_fitted_is_refused_on_saving(tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    with pytest.raises(ModelFileError, match="not fitted yet"):
        save_as(LinearRegression(), tmp_path / "m", [[1.0]])
    assert not list(tmp_path.iterdir())


def test_threads_are_limited(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestRegressor

    runtime = SklearnRuntime()
    runtime.load(dumped(tmp_path, RandomForestRegressor(3, n_jobs=-1).fit([[0.0], [1.0]], [0.0, 1.0]), threads=2))
    assert runtime.model.n_jobs == 2


def test_compressed_joblib(tmp_path: Path) -> None:
    import joblib

    for compress in ("zlib", "gzip", "bz2", "xz", "lzma"):
        path = tmp_path / f"{compress}.joblib"
        joblib.dump(line(), path, compress=compress)
        runtime = SklearnRuntime()
        runtime.load(file_spec("sklearn", path, "joblib"))
        assert runtime.run({"input": np.array([[3.0]])})["output"].tolist() == pytest.approx([6.0])


class Sneaky:
    """A type that skops cannot know to be safe."""

    def predict(self, rows: Any) -> Any:
        return rows


def test_skops_with_unknown_types_needs_trust(tmp_path: Path) -> None:
    io = pytest.importorskip("skops.io")
    path = tmp_path / "m.skops"
    io.dump(Sneaky(), path)
    spec = ModelSpec(name="m", runtime="sklearn", path=str(path), format="skops", example=[[1.0]])
    with pytest.raises(UntrustedFile, match=r"Sneaky.*--trust sha256:") as refusal:
        SklearnRuntime().load(spec)
    assert digest_of(path) in refusal.value.message
    trusted = msgspec.structs.replace(spec, sha256=digest_of(path), trusted=True)
    assert SklearnRuntime().load(trusted).output_names() == ("output",)


def test_a_pickle_named_skops_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    path.write_bytes(pickle.dumps(line()))
    with pytest.raises(ModelFileError):
        SklearnRuntime().load(ModelSpec(name="m", runtime="sklearn", path=str(path), format="skops"))


def test_accepts_by_what_it_can_do() -> None:
    assert accepts(line())
    assert not accepts(len)
    assert not accepts(Tensor.of([1]))


def test_output_is_for_classifiers() -> None:
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import StandardScaler

    for model in (LinearRegression(), StandardScaler()):
        assert list(methods(model, "both")) == ["output"]
        with pytest.raises(ConfigError, match="is for classifiers"):
            methods(model, "label")
