"""Archives that would reach outside themselves, or fill the machine, are refused unread."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import pytest

from penstock.core.errors import ModelFileError
from penstock.repository import archives
from penstock.repository.formats import identify
from tests.repository import zips


def refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match=reason):
        identify(path)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/passwd", "..\\evil", "C:/evil", "..", "a/.."])
def test_members_outside(tmp_path: Path, name: str) -> None:
    refused(tmp_path, zips.archive({"schema.json": b"{}", name: b"x"}), "outside the archive")


def test_names_with_dots_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(zips.archive({"schema.json": b"{}", "a..b/.c": b"x"}))
    assert identify(path).name == "skops"


def test_links(tmp_path: Path) -> None:
    refused(tmp_path, zips.with_link("schema.json", "/etc/passwd"), "symbolic link")


def test_twins(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("schema.json", b"{}")
            out.writestr("schema.json", b"{1}")
    with pytest.raises(ModelFileError, match="twice"):
        identify(path)


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "RATIO_FROM", 2**22)
    refused(tmp_path, zips.bomb(2**23), "zip bomb")


def test_small_archives_may_be_well_compressed(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(zips.bomb(2**23))
    assert identify(path).name == "skops"


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    refused(tmp_path, zips.archive({f"{n}": b"" for n in range(11)}), "at most 10")
