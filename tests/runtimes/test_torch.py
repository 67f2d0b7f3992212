"""PyTorch: open batch sizes, fallbacks that say so, and files that hold no module."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.notebook.save import save_as
from penstock.runtimes.torch import TorchRuntime
from tests.runtimes.models import CASES, file_spec

torch: Any = pytest.importorskip("torch")
Module: Any = torch.nn.Module


class Two(Module):  # type: ignore[misc]
    """Two inputs, two answers, one of them by name."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, left: Any, right: Any) -> Any:
        return {"sum": self.layer(left) + right, "left": left}


class Branching(Module):  # type: ignore[misc]
    """torch.export cannot follow a branch on values."""

    def forward(self, x: Any) -> Any:
        return x * 2 if x.sum() > 0 else x * 3


def ran(spec: ModelSpec, **inputs: Any) -> dict[str, Any]:
    runtime = TorchRuntime()
    runtime.load(spec)
    return {name: array.tolist() for name, array in runtime.run(inputs).items()}


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    module = Two()
    left, right = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    spec = save_as(module, tmp_path / "m", (left[:1], right[:1]), remember=False)
    assert spec.signature is not None
    assert [(i.name, i.shape) for i in spec.signature.inputs] == [("left", (-1, 3)), ("right", (-1, 2))]
    answer = ran(spec, left=left, right=right)
    wanted = module(torch.from_numpy(left), torch.from_numpy(right))
    assert len(answer) == 2
    np.testing.assert_allclose(next(iter(answer.values())), wanted["sum"].detach().numpy(), rtol=1e-5)


def test_the_batch_size_stays_open(tmp_path: Path) -> None:
    spec = CASES["torch_export"](tmp_path / "m").spec
    assert spec.signature is not None
    assert (spec.format, spec.signature.batched, spec.signature.fixed_rows) == ("torch-export", True, None)
    for rows in (1, 2, 17):
        assert len(ran(spec, input=np.ones((rows, 4), np.float32))["output"]) == rows


def test_tracing_instead_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.warns(torch.jit.TracerWarning):
        spec = save_as(Branching(), tmp_path / "m", np.ones((2, 2), np.float32), remember=False)
    assert spec.format == "torchscript"
    assert "traced into TorchScript instead" in caplog.text
    assert ran(spec, x=np.ones((3, 2), np.float32))["output"] == [[2, 2]] * 3


def test_an_example_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs an example"):
        save_as(Two(), tmp_path / "m")
    case = CASES["torchscript"](tmp_path / "script")
    with pytest.raises(ModelFileError, match="give a row or two of input as example"):
        TorchRuntime().load(msgspec.structs.replace(case.spec, example=None))


def test_a_module_is_left_as_it_was(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout(0.5)).train()
    spec = save_as(module, tmp_path / "m", np.ones((2, 2)), remember=False)
    assert module.training
    x = np.ones((50, 2), np.float32)
    assert len({row[0] for row in ran(spec, input=x)["output"]}) == 1


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    torch.save(Two().state_dict(), tmp_path / "m.pt")
    with pytest.raises(ModelFileError, match="weights without the network"):
        TorchRuntime().load(file_spec("torch", tmp_path / "m.pt", "torch-pickle"))


def test_half_precision_answers_are_readable(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2).to(torch.bfloat16)

    class Cast(Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Any) -> Any:
            return self.inner(x.to(torch.bfloat16))

    spec = save_as(Cast(), tmp_path / "m", np.ones((2, 2), np.float32), remember=False)
    assert spec.signature is not None
    assert (spec.signature.inputs[0].datatype, spec.signature.outputs[0].datatype) == ("BF16", "FP32")
    bits = np.full((3, 2), 0x3F80, np.uint16)
    wanted = module(torch.ones((3, 2), dtype=torch.bfloat16)).float().tolist()
    assert ran(spec, x=bits)["output"] == wanted


def test_cuda_is_never_replaced_in_silence(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    spec = CASES["torch_export"](tmp_path / "m").spec
    with pytest.raises(ModelFileError, match="no CUDA device"):
        TorchRuntime().load(msgspec.structs.replace(spec, device="cuda"))


def test_files_of_every_kind_are_recognised(tmp_path: Path) -> None:
    from penstock.repository.formats import identify

    for name in ("torch_export", "torchscript", "torch_pickle"):
        spec = CASES[name](tmp_path / name).spec
        assert identify(Path(spec.path)).name == spec.format
    torch.save(Two(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert identify(tmp_path / "old.pt").name == "torch-legacy"
