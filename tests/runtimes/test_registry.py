"""The registry: what is missing is named, and live objects find their runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ConfigError, MissingExtra
from penstock.core.model import ModelSpec
from penstock.repository.formats import identify
from penstock.runtimes import registry
from tests.runtimes.models import CASES


@pytest.mark.parametrize("name", registry.RUNTIMES)
def test_a_missing_library_names_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = registry.RUNTIMES[name]
    if entry.library is None:
        pytest.skip("this runtime needs no library")
    monkeypatch.setattr(importlib.util, "find_spec", lambda library: None)
    with pytest.raises(MissingExtra, match=rf"pip install 'penstock\[{entry.extra}\]'"):
        registry.create(name)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'sklearn'"):
        registry.create("sklern")
    with pytest.raises(ConfigError, match="no runtime serves the format"):
        registry.for_format("gif")
    with pytest.raises(ConfigError, match="generates text"):
        registry.create_runtime("llm")


@pytest.mark.parametrize("name", CASES)
def test_what_is_saved_is_recognised(name: str, tmp_path: Path) -> None:
    """The bytes of a saved file tell the format that its saver named, and that format its runtime."""
    spec: ModelSpec = CASES[name](tmp_path / "model").spec
    if spec.format == "python":
        pytest.skip("this source is code")
    found = identify(Path(spec.path)).name
    assert found == spec.format or (found, spec.format) == ("pickle", "cloudpickle")
    registry.check_reads(spec.runtime, spec.format)
    # An ONNX file is a text model's by what lies beside it.
    assert registry.for_format(spec.format) == spec.runtime or spec.runtime == "text"


def live_objects() -> list[tuple[Any, str]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    objects: list[tuple[Any, str]] = [
        (LogisticRegression(), "sklearn"),
        (make_pipeline(LogisticRegression()), "sklearn"),
        (len, "callable"),
        (lambda x: x, "callable"),
        ("model.onnx", "onnx"),
        (Path("model.onnx"), "onnx"),
    ]
    if importlib.util.find_spec("xgboost"):
        import xgboost

        objects += [(xgboost.XGBClassifier(), "xgboost"), (xgboost.Booster(), "xgboost")]
        objects += [(make_pipeline(xgboost.XGBClassifier()), "sklearn")]
    if importlib.util.find_spec("lightgbm"):
        import lightgbm

        objects += [(lightgbm.LGBMRegressor(), "lightgbm")]
    if importlib.util.find_spec("torch"):
        import torch

        objects += [(torch.nn.Linear(1, 1), "torch")]
    return objects


def test_live_objects_find_their_runtime() -> None:
    for obj, name in live_objects():
        assert registry.saver_for(obj)[0] == name, obj
