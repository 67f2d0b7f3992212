"""Three small models, trained on data that comes with scikit-learn, and the rows held out to judge them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.core.errors import MissingExtra

NEEDED = ("sklearn", "pandas", "joblib", "onnxruntime", "skl2onnx")


@dataclass(frozen=True)
class DemoModel:
    """A served model and its exam.

    `rows` and `truth`: held out, never seen in training. `measure`: "accuracy" or "mean error".
    `worst`: the least accuracy, or the largest mean error, of a model that was served right.
    """

    name: str
    source: str
    about: str
    rows: list[Any]
    truth: list[Any]
    measure: str
    worst: float
    outputs: tuple[str, ...] | None = None

    def score(self, answers: list[Any]) -> float:
        """Accuracy, or the mean absolute error, over the rows in order."""
        pairs = list(zip(answers, self.truth, strict=True))
        if self.measure == "accuracy":
            return float(sum(answer == true for answer, true in pairs)) / len(pairs)
        return float(sum(abs(answer - true) for answer, true in pairs)) / len(pairs)

    def plausible(self, score: float) -> bool:
        """Whether the score is that of a trained model."""
        return score >= self.worst if self.measure == "accuracy" else score <= self.worst


def check_installed() -> None:
    """Raises `MissingExtra` for what the demo needs beyond Penstock itself."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"the demo needs {', '.join(missing)}: pip install 'penstock[demo]'")


def train(folder: Path) -> list[DemoModel]:
    """Trains all, and writes them into the folder as a person would."""
    makers: tuple[Callable[[Path], DemoModel], ...] = (digits, wine, diabetes)
    return [make(folder) for make in makers]


def digits(folder: Path) -> DemoModel:
    """Handwritten digits, 8×8 pixels, as an ONNX file."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    pixels, truth = load_digits(return_X_y=True)
    seen, held, labels, exam = train_test_split(pixels.astype("float32"), truth, test_size=0.3, random_state=0)
    model = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=2000)).fit(seen, labels)
    graph = to_onnx(model, seen[:1], options={"zipmap": False})
    (folder / "digits.onnx").write_bytes(graph.SerializeToString())
    about = "ONNX, 64 pixels → digit"
    return DemoModel("digits", "digits.onnx", about, held.tolist(), exam.tolist(), "accuracy", 0.93, ("label",))


def wine(folder: Path) -> DemoModel:
    """Wines by chemistry and colour: a pipeline on a DataFrame, columns by name, one of them text."""
    from sklearn.compose import make_column_transformer
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from penstock.notebook.save import save

    data = load_wine(as_frame=True)
    table = data.data.drop(columns="color_intensity")
    table["colour"] = data.data["color_intensity"].map(lambda depth: "deep" if depth > 4.5 else "pale")
    split = train_test_split(table, data.target_names[data.target], test_size=0.4, random_state=0, stratify=data.target)
    seen, held, labels, exam = split
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), remainder=StandardScaler())
    model = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(seen, labels)
    save(model, folder / "wine", example=seen[:2])
    rows = held.to_dict(orient="records")
    about = "scikit-learn pipeline, 13 named columns → cultivar"
    return DemoModel("wine", "wine", about, rows, exam.tolist(), "accuracy", 0.85, ("label",))


def diabetes(folder: Path) -> DemoModel:
    """Progress of a disease after a year: a regressor."""
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.model_selection import train_test_split

    from penstock.notebook.save import save

    body, progress = load_diabetes(return_X_y=True)
    seen, held, known, exam = train_test_split(body, progress, test_size=0.3, random_state=0)
    model = RandomForestRegressor(n_estimators=30, max_depth=5, random_state=0).fit(seen, known)
    save(model, folder / "diabetes", example=seen[:2])
    about = "scikit-learn regressor, 10 numbers → progress (25 to 346)"
    return DemoModel("diabetes", "diabetes", about, held.tolist(), exam.tolist(), "mean error", 55.0)
