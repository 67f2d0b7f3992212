"""One contract for every runtime: what `load` promises, `run` keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.errors import ModelFileError, PenstockError, UntrustedFile
from penstock.core.model import ModelSpec
from penstock.core.rows import rows_to_tensors
from penstock.core.signature import Fit, Signature
from penstock.core.tensors import DTYPES, Array, Tensor, datatype_of
from penstock.runtimes import registry
from penstock.runtimes.contract import Runtime
from tests.runtimes.models import CASES, Case

Arrays = dict[str, Array]
NEEDS_TRUST = ("pickle", "joblib", "cloudpickle", "torchscript", "torch-export", "torch-pickle", "torch-legacy")
CLASSIFIERS = [name for name in CASES if "classifier" in name or ("onnx_" in name and "rows" not in name)]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp("case") / "model")


def load(spec: ModelSpec) -> tuple[Runtime, Signature]:
    runtime = registry.create(spec.runtime)
    return runtime, runtime.load(spec)


def same(got: Array, wanted: Array) -> None:
    assert got.shape == wanted.shape
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
    else:
        assert got.tolist() == wanted.tolist()


def take(arrays: Arrays, rows: Any) -> Arrays:
    return {name: array[rows] for name, array in arrays.items()}


def test_answers_are_the_models_own(case: Case) -> None:
    runtime, signature = load(case.spec)
    outputs = runtime.run(case.inputs)
    assert list(outputs) == list(signature.output_names())
    assert outputs.keys() == case.expected.keys()
    for name, wanted in case.expected.items():
        same(outputs[name], wanted)


def test_signature_is_what_run_takes_and_gives(case: Case) -> None:
    runtime, signature = load(case.spec)
    typed = {name: Tensor(datatype_of(array), array) for name, array in case.inputs.items()}
    assert Fit.of(signature).rows(typed) == case.rows
    outputs = runtime.run(case.inputs)
    for spec in signature.outputs:
        array = outputs[spec.name]
        assert array.dtype == DTYPES[spec.datatype]
        assert len(array.shape) == len(spec.shape)
        assert all(size in (-1, real) for size, real in zip(spec.shape, array.shape, strict=True))
        assert all(type(item) is bytes for item in array.reshape(-1)) or spec.datatype != "BYTES"
        assert spec.labels is None or len(spec.labels) == array.shape[-1]


def test_rows_do_not_influence_each_other(case: Case) -> None:
    runtime, signature = load(case.spec)
    if signature.fixed_rows:
        assert signature.fixed_rows == case.rows
        return
    together = runtime.run(case.inputs)
    for row in range(case.rows):
        alone = runtime.run(take(case.inputs, [row]))
        for name, array in together.items():
            same(alone[name], array[[row]])


def test_row_order_is_kept(case: Case) -> None:
    runtime, _ = load(case.spec)
    order = list(reversed(range(case.rows)))
    straight, reverse = runtime.run(case.inputs), runtime.run(take(case.inputs, order))
    for name, array in straight.items():
        same(reverse[name], array[order])


def test_read_only_inputs_are_taken_and_left_alone(case: Case) -> None:
    runtime, _ = load(case.spec)
    frozen = {name: array.copy() for name, array in case.inputs.items()}
    for array in frozen.values():
        array.flags.writeable = False
    runtime.run(frozen)
    for name, array in frozen.items():
        assert array.tolist() == case.inputs[name].tolist()


def test_zero_rows_give_zero_rows(case: Case) -> None:
    runtime, signature = load(case.spec)
    outputs = runtime.run(take(case.inputs, slice(0, 0)))
    for spec in signature.outputs:
        assert outputs[spec.name].shape[0] == 0
        assert outputs[spec.name].dtype == DTYPES[spec.datatype]


def test_example_in_the_spec_runs(case: Case) -> None:
    if case.spec.example is None:
        pytest.skip("this model was saved without an example")
    runtime, signature = load(case.spec)
    tensors = rows_to_tensors(signature, case.spec.example)
    outputs = runtime.run({name: tensor.array for name, tensor in tensors.items()})
    assert all(len(array) == len(case.spec.example) for array in outputs.values())


def test_a_second_load_gives_the_same_signature(case: Case) -> None:
    _, signature = load(case.spec)
    _, again = load(msgspec.structs.replace(case.spec, signature=signature))
    assert again == signature


def test_code_runs_only_when_trusted(case: Case) -> None:
    if case.spec.format not in NEEDS_TRUST:
        pytest.skip("this format runs no code")
    with pytest.raises(UntrustedFile, match=f"--trust sha256:{case.spec.sha256}"):
        load(msgspec.structs.replace(case.spec, trusted=False))


def test_changed_file_is_refused(case: Case) -> None:
    if case.spec.sha256 is None:
        pytest.skip("this source is no file")
    with pytest.raises(ModelFileError, match="changed"):
        load(msgspec.structs.replace(case.spec, sha256="0" * 64))


def test_damaged_file_is_refused(case: Case, tmp_path: Path) -> None:
    from penstock.repository.trust import digest_of

    if case.spec.sha256 is None:
        pytest.skip("this source is no file")
    data = Path(case.spec.path).read_bytes()
    broken = tmp_path / "broken"
    broken.write_bytes(data[: len(data) * 2 // 3])
    spec = msgspec.structs.replace(case.spec, path=str(broken), sha256=digest_of(broken))
    with pytest.raises(ModelFileError) as refusal:
        load(spec)
    assert str(tmp_path) not in refusal.value.message


def test_missing_file_is_refused(case: Case, tmp_path: Path) -> None:
    spec = msgspec.structs.replace(case.spec, path=str(tmp_path / "gone.py:Gone"))
    with pytest.raises(ModelFileError) as refusal:
        load(spec)
    assert str(tmp_path) not in refusal.value.message


@pytest.fixture(scope="module", params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return CASES[request.param](tmp_path_factory.mktemp("classifier") / "model")


@pytest.mark.parametrize("output", ["label", "probabilities"])
def test_output_choice(classifier: Case, output: str) -> None:
    runtime, signature = load(msgspec.structs.replace(classifier.spec, output=output))
    answers = runtime.run(classifier.inputs)
    assert list(answers) == [output] == list(signature.output_names())
    same(answers[output], classifier.expected[output])


def test_unknown_output_choice_is_refused(classifier: Case) -> None:
    with pytest.raises(PenstockError, match="output"):
        load(msgspec.structs.replace(classifier.spec, output="everything"))
