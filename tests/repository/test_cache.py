"""The model cache: made once, whole or not at all, whoever dies and whatever fills up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.core.errors import ModelFileError, SetupError
from penstock.repository import cache

KEY = "ab12-fp32"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def left(root: Path) -> list[str]:
    """What lies in the cache, lock files aside."""
    return sorted(path.name for path in (root / "derived").iterdir() if not path.name.endswith(".lock"))


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.root() == tmp_path / "cache"
    monkeypatch.delenv("PENSTOCK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root() == tmp_path / "xdg" / "penstock"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert cache.root() == tmp_path / "me" / ".cache" / "penstock"


def test_made_once(root: Path) -> None:
    assert cache.derived(KEY) is None
    made = cache.stored(KEY, lambda folder: (folder / "model.xml").write_text("<net/>") and None)
    assert made == cache.derived(KEY) == root / "derived" / KEY
    assert (made / "model.xml").read_text() == "<net/>"
    assert cache.stored(KEY, lambda folder: pytest.fail("must not be made again")) == made
    with cache.storing(KEY) as fresh:
        assert fresh is None
    cache.discard(KEY)
    assert cache.derived(KEY) is None
    cache.discard(KEY)


def test_nothing_stays_of_what_failed(root: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ModelFileError("no such layer")

    with pytest.raises(ModelFileError, match="no such layer"):
        cache.stored(KEY, fails)
    assert left(root) == []
    assert cache.stored(KEY, lambda folder: None).is_dir()


def test_a_full_disk_is_said_and_nothing_stays(root: Path) -> None:
    def fills(folder: Path) -> None:
        (folder / "half").write_text("x")
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"weights")

    with pytest.raises(SetupError, match=r"the disk of the model cache is full.*PENSTOCK_CACHE") as refusal:
        cache.stored(KEY, fills)
    assert str(root) not in refusal.value.message
    assert left(root) == []


def test_other_failures_of_the_system_are_not_called_a_full_disk() -> None:
    with pytest.raises(FileNotFoundError):
        cache.stored(KEY, lambda folder: (folder / "gone").unlink())


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "file"))
    with pytest.raises(SetupError, match=r"cannot be written.*PENSTOCK_CACHE"):
        cache.stored(KEY, lambda folder: None)


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "a b", "a~b", "x" * 201])
def test_keys_are_names_of_folders(key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        cache.derived(key)


def make_slowly(marks: str) -> None:
    def make(folder: Path) -> None:
        Path(marks, str(os.getpid())).touch()
        time.sleep(0.5)
        (folder / "model").write_text("whole")

    cache.stored(KEY, make)


def test_two_processes_make_it_once(tmp_path: Path, root: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    context = multiprocessing.get_context("spawn")
    makers = [context.Process(target=make_slowly, args=(str(marks),)) for _ in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    assert len(list(marks.iterdir())) == 1
    assert left(root) == [KEY]


DIES = """
import sys, time
from penstock.repository import cache
with cache.storing(sys.argv[1]) as fresh:
    (fresh / "half").write_text("x")
    print("began", flush=True)
    time.sleep(60)
"""


def test_a_killed_maker_holds_nobody_up(root: Path) -> None:
    maker = subprocess.Popen([sys.executable, "-c", DIES, KEY], stdout=subprocess.PIPE)
    assert maker.stdout is not None
    with maker.stdout:
        assert maker.stdout.readline() == b"began\n"
        os.kill(maker.pid, signal.SIGKILL)
        maker.wait(30)
    assert len(left(root)) == 1
    assert cache.derived(KEY) is None
    cache.stored(KEY, lambda folder: None)
    assert left(root) == [KEY]


def test_keys_that_begin_alike_do_not_clear_each_other(root: Path) -> None:
    with cache.storing("ab-12") as one, cache.storing("ab") as other:
        assert one is not None
        assert other is not None
        (one / "x").touch()
    assert left(root) == ["ab", "ab-12"]
    assert (root / "derived" / "ab-12" / "x").exists()


def test_others_may_read_what_was_made(root: Path) -> None:
    made = cache.stored(KEY, lambda folder: None)
    assert made.stat().st_mode & 0o055 == (root / "derived").stat().st_mode & 0o055
