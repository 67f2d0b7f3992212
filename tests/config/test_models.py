"""From settings and a source to what a worker loads, and what is refused before one starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.config.models import spec_of
from penstock.config.schema import ModelSettings
from penstock.core.errors import ConfigError, ModelFileError
from penstock.repository import saving
from penstock.repository.manifest import Manifest
from penstock.repository.trust import digest_of
from penstock.runtimes.python_objects import open_object
from tests.repository.conftest import onnx_bytes

pytest.importorskip("onnx")
EVIL = "raise SystemExit('ran')"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    return tmp_path / "m.onnx"


def spec(source: Path, **settings: Any) -> Any:
    return spec_of("m", ModelSettings(source=str(source), **settings), source.parent)


def folder_with_runtime(parent: Path, runtime: str) -> Path:
    """A folder whose name ends as a Python file's and an attribute's, and beside it that file."""
    (parent / "evil.py").write_text(EVIL)
    with saving.replacing(parent / "evil.py:x") as made:
        (made / "m.onnx").write_bytes(onnx_bytes())
        digest = digest_of(made / "m.onnx")
        saving.write_manifest(made, Manifest(name="m", runtime=runtime, format="onnx", file="m.onnx", sha256=digest))
    return parent / "evil.py:x"


def test_a_manifest_cannot_choose_a_runtime_that_does_not_read_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="callable does not read onnx; onnx, openvino and text can"):
        spec(folder_with_runtime(tmp_path, "callable"))


@pytest.mark.parametrize("runtime", ["callable", "sklearn", "xgboost"])
def test_a_runtime_that_does_not_read_the_file_is_refused(file: Path, runtime: str) -> None:
    with pytest.raises(ConfigError, match=f"{runtime} does not read onnx; onnx, openvino and text can"):
        spec(file, runtime=runtime)


def test_only_a_named_object_is_imported(file: Path, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(EVIL)
    named = msgspec.structs.replace(spec(file), path=f"{tmp_path / 'evil.py'}:x")
    with pytest.raises(ModelFileError, match="holds no Python function"):
        open_object(named)
    assert "evil" not in sys.modules


def test_a_device_that_the_runtime_would_not_use(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def predict(x): return x")
    source = f"{tmp_path / 'f.py'}:predict"
    with pytest.raises(ConfigError, match="is for the runtimes onnx, torch, text and llm; callable uses the CPU"):
        spec_of("m", ModelSettings(source=source, device="cuda:1"), tmp_path)
    assert spec_of("m", ModelSettings(source=source, device="cpu"), tmp_path).device == "cpu"


def test_options_that_the_runtime_does_not_know(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="onnx has no option 'providers'; it takes none"):
        spec(file, options={"providers": []})
    (tmp_path / "f.py").write_text("def predict(x): return x")
    settings = ModelSettings(source=f"{tmp_path / 'f.py'}:predict", options={"frames": True})
    with pytest.raises(ConfigError, match="did you mean 'frame'"):
        spec_of("m", settings, tmp_path)
