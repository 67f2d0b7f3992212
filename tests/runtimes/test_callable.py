"""Functions: what hints and examples say, and answers that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.core.errors import ConfigError, ModelFailed, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import TensorSpec
from penstock.notebook.save import save_as
from penstock.runtimes.callable import CallableRuntime, infer_inputs
from penstock.runtimes.model import Model
from tests.runtimes.models import text


def python(folder: Path, code: str, attribute: str = "predict", **more: Any) -> ModelSpec:
    path = folder / f"code_{abs(hash(code))}.py"
    path.write_text(code)
    return ModelSpec(name="m", runtime="callable", path=f"{path}:{attribute}", format="python", **more)


def words(texts: list[str]) -> list[int]: ...  # type: ignore[empty-body]
def numbers(a: list[int], b: list[float], c: list[bool]) -> Any: ...
def plain(rows) -> Any: ...  # type: ignore[no-untyped-def]
def nested(rows: list[list[float]]) -> Any: ...
def half(rows: list[int], other) -> Any: ...  # type: ignore[no-untyped-def]
def optional(rows: list[int], scale: float = 2.0) -> Any: ...


@pytest.mark.parametrize(
    ("function", "example", "specs"),
    [
        (words, None, [("texts", "BYTES", (-1,))]),
        (numbers, None, [("a", "INT64", (-1,)), ("b", "FP64", (-1,)), ("c", "BOOL", (-1,))]),
        (nested, None, [("rows", "FP64", (-1, -1))]),
        (nested, [[1, 2, 3]], [("rows", "FP64", (-1, 3))]),
        (plain, [[1, 2]], [("rows", "FP64", (-1, 2))]),
        (plain, np.ones((2, 3), np.float32), [("rows", "FP32", (-1, 3))]),
        (plain, np.array([[1, 2]]), [("rows", "INT64", (-1, 2))]),
        (plain, ["text"], [("rows", "BYTES", (-1,))]),
        (plain, [True], [("rows", "BOOL", (-1,))]),
        (half, [{"rows": 1, "other": "x"}], [("rows", "FP64", (-1,)), ("other", "BYTES", (-1,))]),
        (optional, None, [("rows", "INT64", (-1,))]),
    ],
)
def test_inputs(function: Any, example: Any, specs: list[tuple[str, str, tuple[int, ...]]]) -> None:
    assert infer_inputs(function, example) == tuple(TensorSpec(*spec) for spec in specs)


@pytest.mark.parametrize("function", [plain, half, len])
def test_unknown_inputs_ask_for_an_example(function: Any) -> None:
    with pytest.raises(ModelFileError, match="give an example"):
        infer_inputs(function, None)


def test_arguments_are_what_the_hints_say() -> None:
    def kinds(a: list[float], b: np.ndarray, c: list[str], d: list[bytes]) -> list[str]:
        return [f"{type(a).__name__} {type(b).__name__} {type(c[0]).__name__} {type(d[0]).__name__}"]

    runtime = CallableRuntime(kinds)
    example = [{"a": 1, "b": 1, "c": "x", "d": "y"}]
    runtime.load(ModelSpec(name="m", runtime="callable", path="", example=example))
    inputs = {"a": np.ones(1), "b": np.ones(1), "c": text(["x"]), "d": text(["x"])}
    assert runtime.run(inputs)["output"].tolist() == [b"list ndarray str bytes"]


def test_frames_when_the_example_was_one(tmp_path: Path) -> None:
    import pandas as pd

    def total(table: Any) -> Any:
        return table.a + table.b

    spec = save_as(total, tmp_path / "m", pd.DataFrame({"a": [1], "b": [0.5]}), remember=False)
    runtime = CallableRuntime()
    runtime.load(spec)
    assert runtime.run({"a": np.array([1, 2]), "b": np.array([0.5, 0.5])})["output"].tolist() == [1.5, 2.5]


def test_columns_for_a_single_parameter_come_as_a_dict() -> None:
    runtime = CallableRuntime(lambda row: row["a"] * 2)
    runtime.load(ModelSpec(name="m", runtime="callable", path="", example=[{"a": 1.0, "b": 2.0}]))
    assert runtime.run({"a": np.array([3.0]), "b": np.array([0.0])})["output"].tolist() == [6.0]


@pytest.mark.parametrize(
    ("result", "outputs"),
    [
        ([1, 2], {"output": [1, 2]}),
        (np.ones((2, 2)), {"output": [[1, 1], [1, 1]]}),
        (([1, 2], ["a", "b"]), {"output_0": [1, 2], "output_1": [b"a", b"b"]}),
        ({"x": [1, 2]}, {"x": [1, 2]}),
        ([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}], {"x": [1, 2], "y": [b"a", b"b"]}),
    ],
)
def test_shapes_of_answers(result: Any, outputs: dict[str, Any]) -> None:
    runtime = CallableRuntime(lambda rows: result)
    runtime.load(ModelSpec(name="m", runtime="callable", path="", example=[1.0, 2.0]))
    assert {name: array.tolist() for name, array in runtime.run({"rows": np.ones(2)}).items()} == outputs


@pytest.mark.parametrize("answer", [[1], [1, 2, 3], 5, None, {"x": [1]}, [object(), 1], [[1], [2, 3]]])
def test_answers_that_do_not_fit(answer: Any) -> None:
    runtime = CallableRuntime(lambda rows: answer if len(rows) == 2 else [0.0] * len(rows))
    runtime.load(ModelSpec(name="m", runtime="callable", path="", example=[1.0]))
    with pytest.raises(ModelFailed):
        runtime.run({"rows": np.ones(2)})
    assert runtime.run({"rows": np.ones(3)})["output"].tolist() == [0, 0, 0]


def test_fractions_are_never_cut_to_fit_the_signature() -> None:
    runtime = CallableRuntime(lambda rows: [1] if rows[0] == 1 else [1.5])
    runtime.load(ModelSpec(name="m", runtime="callable", path="", example=[1.0]))
    with pytest.raises(ModelFailed, match="float64"):
        runtime.run({"rows": np.zeros(1)})


def test_async_is_refused() -> None:
    async def later(texts: list[str]) -> list[str]:
        return texts

    with pytest.raises(ModelFileError, match="plain def"):
        CallableRuntime(later).load(ModelSpec(name="m", runtime="callable", path=""))


def test_errors_on_loading_say_what_failed(tmp_path: Path) -> None:
    for code, reason in [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("def other(x): ...", "has no 'predict'; it has: other"),
        ("predict = 3", "no function"),
    ]:
        with pytest.raises(ModelFileError, match=reason) as refusal:
            CallableRuntime().load(python(tmp_path, code))
        assert str(tmp_path) not in refusal.value.message


def test_a_file_imports_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("FACTOR = 4\n")
    code = "from neighbour_of_mine import FACTOR\ndef predict(x: list[float]):\n    return [v * FACTOR for v in x]\n"
    runtime = CallableRuntime()
    runtime.load(python(tmp_path, code))
    assert runtime.run({"x": np.array([2.0])})["output"].tolist() == [8.0]


class Counter(Model):
    """Counts loads."""

    def load(self) -> None:
        self.loads = getattr(self, "loads", 0) + 1

    def predict(self, texts: list[str]) -> list[int]:
        return [self.loads] * len(texts)


@pytest.mark.parametrize("obj", [Counter, Counter()])
def test_models_are_loaded_once(tmp_path: Path, obj: Any) -> None:
    runtime = CallableRuntime()
    runtime.load(save_as(obj, tmp_path / "m", remember=False))
    assert runtime.run({"texts": text(["a", "b"])})["output"].tolist() == [1, 1]


def test_a_function_of_a_whole_input_gets_it_whole() -> None:
    runtime = CallableRuntime(lambda values: np.array([values.mean()]))
    spec = ModelSpec(name="m", runtime="callable", path="", example=[[1.0, 2.0, 3.0]], batched=False)
    signature = runtime.load(spec)
    assert not signature.batched
    assert (signature.inputs[0].shape, signature.outputs[0].shape) == ((-1,), (-1,))
    assert runtime.run({"values": np.array([1.0, 3.0])})["output"].tolist() == [2.0]


def test_output_is_for_classifiers() -> None:
    runtime = CallableRuntime(lambda rows: rows)
    with pytest.raises(ConfigError, match="is for classifiers"):
        runtime.load(ModelSpec(name="m", runtime="callable", path="", example=[1.0], output="label"))
