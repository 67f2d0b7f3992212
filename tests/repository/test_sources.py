"""Sources as people type them, and the refusals that help."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.repository import saving
from penstock.repository.manifest import MANIFEST, Manifest
from penstock.repository.sources import default_name, name_of, resolve
from penstock.repository.trust import digest_of
from tests.repository.conftest import onnx_bytes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "iris.onnx"
    path.write_bytes(onnx_bytes())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with saving.replacing(tmp_path / "twice") as made:
        (made / "model.onnx").write_bytes(onnx_bytes())
        x = TensorSpec("x", "FP32", (-1, 2))
        manifest = Manifest(
            name="twice", version="7", runtime="onnx", format="onnx", file="model.onnx",
            sha256=digest_of(made / "model.onnx"), signature=Signature((x,)), example=[[1.0, 2.0]],
        )  # fmt: skip
        saving.write_manifest(made, manifest)
    return tmp_path / "twice"


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


def test_a_file(file: Path) -> None:
    spec = resolve(str(file))
    assert spec == ModelSpec(name="iris", runtime="", path=str(file), format="onnx")


def test_a_relative_path_starts_at_base(file: Path, tmp_path: Path) -> None:
    assert resolve("iris.onnx", base=tmp_path).path == str(file)
    assert resolve("./iris.onnx", base=tmp_path, name="flower", version="2").name == "flower"


def test_a_folder(folder: Path) -> None:
    spec = resolve(str(folder))
    assert (spec.name, spec.version, spec.runtime, spec.format) == ("twice", "7", "onnx", "onnx")
    assert spec.signature is not None
    assert spec.signature.inputs[0].shape == (-1, 2)
    assert spec.example == [[1.0, 2.0]]
    assert resolve(str(folder), version="8", example=[[0, 0]]).version == "8"


def test_python_objects(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def predict(x):\n    return x\n")
    spec = resolve("code.py:predict", base=tmp_path)
    assert spec.path == f"{tmp_path / 'code.py'}:predict"
    assert (spec.name, spec.runtime, spec.format) == ("predict", "callable", "python")
    assert resolve("package.module:Model.predict").path == "package.module:Model.predict"


def test_python_file_without_object_lists_them(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("def predict(x): ...\ndef _hidden(): ...\nclass Net: ...\n")
    with pytest.raises(ModelFileError, match=r"code\.py:predict or code\.py:Net$"):
        resolve("code.py", base=tmp_path)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("iriss.onnx", r"did you mean iris\.onnx\?"),
        ("opena:gpt-5-mini", "did you mean openai:gpt-5-mini"),
        ("no/such/folder.onnx", "folder does not exist"),
        ("cod.py:predict", r"there is no cod\.py"),
        ("https://example.org/m.onnx", "download it first"),
        ("hf:model", "names no repository with its owner"),
        ("a\0b", "NUL"),
        (".", r"without penstock\.json or config\.json; name a file in it: iris\.onnx"),
    ],
)
def test_refusals_help(file: Path, tmp_path: Path, source: str, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as refusal:
        resolve(source, base=tmp_path)
    assert str(tmp_path) not in refusal.value.message


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", ".hidden", "-x", "a" * 129, "ä", "a\n", "a\0"])
def test_names_that_cannot_be(file: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        resolve(str(file), name=name)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("./iris.onnx", "iris"), ("my model (2).onnx", "my-model-2"), ("models/v1.2", "v1.2"), ("pkg.mod:Net", "Net"),
        ("a/code.py:predict", "predict"), ("m.tar.onnx", "m.tar"),
    ],
)  # fmt: skip
def test_names_from_sources(source: str, name: str) -> None:
    assert default_name(source) == name


def test_name_of_a_folder_is_its_manifests(folder: Path, file: Path) -> None:
    assert name_of(str(folder.rename(folder.with_name("moved")))) == "twice"
    assert name_of(str(file)) == "iris"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"surprise": 1}, "surprise"),
        ({"name": "../x"}, r"\$\.name"),
        ({"version": ""}, r"\$\.version"),
        ({"file": "../model.onnx"}, r"\$\.file"),
        ({"file": "/etc/passwd"}, r"\$\.file"),
        ({"file": "a/b.onnx"}, r"\$\.file"),
        ({"file": "gone.onnx"}, "not in the folder"),
        ({"sha256": "12"}, r"\$\.sha256"),
        ({"penstock": 2}, r"\$\.penstock"),
        ({"format": 3}, r"\$\.format"),
        ({"format": "skops"}, "is an ONNX model"),
        ({"signature": {"inputs": [{"name": "x", "datatype": "FP31", "shape": [-1]}]}}, r"inputs\[0\]"),
        ({"signature": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}]}}, r"impossible shape"),
        ({"signature": {"inputs": [], "colour": 1}}, "colour"),
        ({"signature": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "typo": 1}]}}, "typo"),
    ],
)
def test_manifest_tampering(folder: Path, changes: dict[str, Any], place: str) -> None:
    rewrite(folder, **changes)
    with pytest.raises(ModelFileError, match=place):
        resolve(str(folder))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 5000])
def test_manifest_damaged(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(ModelFileError, match=MANIFEST):
        resolve(str(folder))


def test_another_file_than_the_manifest_describes(folder: Path) -> None:
    other = onnx_bytes().replace(b"twice", b"thrice"[:5])
    (folder / "model.onnx").write_bytes(other)
    with pytest.raises(ModelFileError, match="sha256"):
        resolve(str(folder))


def test_a_link_in_a_folder(folder: Path, file: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(file)
    with pytest.raises(ModelFileError, match="link"):
        resolve(str(folder))


def test_a_link_that_a_person_names_is_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to(file)
    assert resolve("link.onnx", base=tmp_path).format == "onnx"


def test_a_folder_can_be_moved_and_copied(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    assert resolve(str(copy)).path == str(copy / "model.onnx")


def test_saving_replaces_whole_or_not_at_all(folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(FileNotFoundError), saving.replacing(folder) as fresh:
        shutil.copyfile(folder / "gone", fresh / "half")
    assert sorted(path.name for path in folder.iterdir()) == before
    with saving.replacing(folder) as fresh:
        (fresh / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert {path.name for path in folder.parent.iterdir()} <= {"twice", "home"}


def test_saving_never_destroys_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("years of work")
    for target in (tmp_path / "thesis", tmp_path / "thesis" / "chapter1"):
        with pytest.raises(ConfigError, match="choose another path"), saving.replacing(target):
            pytest.fail("must not be reached")
    assert (tmp_path / "thesis" / "chapter1").read_text() == "years of work"


def test_the_server_side_imports_nothing_heavy() -> None:
    code = (
        "import sys, penstock.repository.sources, penstock.runtimes.registry as r; r.for_format('onnx');"
        "heavy = {'sklearn', 'torch', 'onnxruntime', 'pandas', 'xgboost', 'lightgbm', 'joblib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
