"""XGBoost's own files, JSON and UBJSON: data only, no code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature
from penstock.core.tensors import Array
from penstock.runtimes import classes, xgboost_check
from penstock.runtimes.boosters import BoosterRuntime, Task, infer_inputs, softmax
from penstock.runtimes.contract import Saved
from penstock.runtimes.files import read


class XgboostRuntime(BoosterRuntime):
    """Runs an XGBoost booster."""

    def open(self, spec: ModelSpec) -> tuple[Task, list[str], int]:
        """Reads the file. Raises `ModelFileError` when XGBoost cannot."""
        data = read(spec)
        xgboost_check.check(data)
        booster = open_booster(data, spec.threads)
        return task(booster), list(booster.feature_names or ()), int(booster.num_features())


def open_booster(data: bytes, threads: int) -> Any:
    """A booster from the bytes of a .json or .ubj file."""
    import xgboost

    try:
        booster = xgboost.Booster({"nthread": threads})
        booster.load_model(bytearray(data))
        booster.num_features()
    except Exception as error:
        text = f"XGBoost {xgboost.__version__} cannot read the file: it is damaged, or of another version"
        raise ModelFileError(text, detail=str(error)) from error
    return booster


def task(booster: Any) -> Task:
    """What the booster's objective says that its numbers mean."""
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    count = int(learner["learner_model_param"]["num_class"])
    values = _predict(booster, learner, "value")
    margin = _predict(booster, learner, "margin")
    if objective == "multi:softprob":
        return Task(count, values, values)
    if objective == "multi:softmax":
        return Task(count, lambda rows: softmax(margin(rows)), values)
    if objective == "binary:logistic":
        return Task(2, lambda rows: classes.both_columns(values(rows)), values)
    if objective == "binary:hinge":
        return Task(2, None, values)
    return Task(0, None, values)


def _predict(booster: Any, learner: dict[str, Any], kind: str) -> Callable[[Array], Array]:
    rounds = _rounds(booster)
    if learner["gradient_booster"]["name"] == "gblinear":
        return lambda rows: _from_matrix(booster, rows, kind)
    return lambda rows: np.asarray(
        booster.inplace_predict(rows, iteration_range=rounds, predict_type=kind, validate_features=False)
    )


def _from_matrix(booster: Any, rows: Array, kind: str) -> Array:
    import xgboost

    return np.asarray(booster.predict(xgboost.DMatrix(rows), output_margin=kind == "margin", validate_features=False))


def _rounds(booster: Any) -> tuple[int, int]:
    """With early stopping, only the rounds up to the best one answer, as in XGBoost's own classes."""
    best = booster.attr("best_iteration")
    return (0, 0) if best is None else (0, int(best) + 1)


def accepts(obj: object) -> bool:
    """Boosters and XGBoost's scikit-learn classes, fitted."""
    return hasattr(obj, "get_booster") or hasattr(obj, "inplace_predict")


def save(obj: Any, folder: Path, example: Any) -> Saved:
    """Writes model.ubj, which runs no code. Raises `ModelFileError` when the model is not fitted."""
    import xgboost

    booster = _booster(obj)
    booster.save_model(folder / "model.ubj")
    inputs = infer_inputs(booster.feature_names or (), int(booster.num_features()), example, "FP32")
    found = getattr(obj, "classes_", None)
    return Saved(
        file="model.ubj",
        runtime="xgboost",
        format="xgboost-ubj",
        signature=Signature(inputs),
        classes=None if found is None else classes.plain(found),
        libraries={"xgboost": xgboost.__version__},
    )


def _booster(obj: Any) -> Any:
    if not hasattr(obj, "get_booster"):
        return obj
    try:
        return obj.get_booster()
    except Exception as error:
        raise ModelFileError(f"this {type(obj).__qualname__} is not fitted yet; call fit first") from error
