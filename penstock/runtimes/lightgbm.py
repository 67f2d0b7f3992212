"""LightGBM's own text files: data only, no code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature
from penstock.core.tensors import Array
from penstock.runtimes import classes
from penstock.runtimes.boosters import BoosterRuntime, Task, infer_inputs
from penstock.runtimes.contract import Saved
from penstock.runtimes.files import read


class LightgbmRuntime(BoosterRuntime):
    """Runs a LightGBM booster."""

    datatype = "FP64"

    def open(self, spec: ModelSpec) -> tuple[Task, list[str], int]:
        """Reads the file. Raises `ModelFileError` when LightGBM cannot."""
        data = read(spec)
        check_whole(data)
        booster = open_booster(data)
        return task(booster, objective(data), spec.threads), feature_names(booster), int(booster.num_feature())


def check_whole(data: bytes) -> None:
    """LightGBM's parser crashes the process on a file that was cut; each section ends with a marker line."""
    if not all(mark in data for mark in (b"\nmax_feature_idx=", b"\nend of trees", b"\nend of parameters")):
        raise ModelFileError("the LightGBM file is truncated or damaged")


def open_booster(data: bytes) -> Any:
    """A booster from a model file's text."""
    import lightgbm

    try:
        return lightgbm.Booster(model_str=data.decode())
    except Exception as error:
        text = f"LightGBM {lightgbm.__version__} cannot read the file: it is damaged, or of another version"
        raise ModelFileError(text, detail=str(error)) from error


def objective(data: bytes) -> str:
    """The objective's name, from the head of the file; empty without one."""
    head = data[: data.find(b"\nTree=")]
    line = next((line for line in head.splitlines() if line.startswith(b"objective=")), b"")
    return line[10:].decode(errors="replace").partition(" ")[0]


def task(booster: Any, name: str, threads: int) -> Task:
    """What the booster's objective says that its numbers mean."""
    values = _predict(booster, threads)
    if name in ("multiclass", "multiclassova"):
        return Task(int(booster.num_model_per_iteration()), values, values)
    if name == "binary":
        return Task(2, lambda rows: classes.both_columns(values(rows)), values)
    return Task(0, None, values)


def _predict(booster: Any, threads: int) -> Callable[[Array], Array]:
    return lambda rows: np.asarray(booster.predict(rows, num_threads=threads))


def feature_names(booster: Any) -> list[str]:
    """The features' names, empty when LightGBM made them up."""
    names = [str(name) for name in booster.feature_name()]
    return [] if names == [f"Column_{index}" for index in range(len(names))] else names


def accepts(obj: object) -> bool:
    """Boosters and LightGBM's scikit-learn classes, fitted."""
    return hasattr(obj, "booster_") or hasattr(obj, "num_model_per_iteration") or _is_unfitted(obj)


def _is_unfitted(obj: object) -> bool:
    return hasattr(type(obj), "booster_")


def save(obj: Any, folder: Path, example: Any) -> Saved:
    """Writes model.txt, which runs no code. Raises `ModelFileError` when the model is not fitted."""
    import lightgbm

    if not hasattr(obj, "booster_") and _is_unfitted(obj):
        raise ModelFileError(f"this {type(obj).__qualname__} is not fitted yet; call fit first")
    booster = getattr(obj, "booster_", obj)
    booster.save_model(str(folder / "model.txt"))
    inputs = infer_inputs(feature_names(booster), int(booster.num_feature()), example, "FP64")
    found = getattr(obj, "classes_", None)
    return Saved(
        file="model.txt",
        runtime="lightgbm",
        format="lightgbm-text",
        signature=Signature(inputs),
        classes=None if found is None else classes.plain(found),
        libraries={"lightgbm": lightgbm.__version__},
    )
