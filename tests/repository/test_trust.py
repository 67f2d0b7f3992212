"""Code in a file runs only if somebody vouched for exactly those bytes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle
from pathlib import Path

import pytest

from penstock.core.errors import ConfigError, UntrustedFile
from penstock.repository.sources import resolve
from penstock.repository.trust import TrustStore, default_path, digest_of, parse_digests

DIGEST = "ab" * 32


class Bomb:
    """Pickles as a call that leaves a mark."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


@pytest.fixture
def bomb(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    return path


def test_refusal_names_digest_flag_and_yaml(bomb: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(bomb.read_bytes()).hexdigest()
    with pytest.raises(UntrustedFile) as refusal:
        resolve(str(bomb))
    assert f"--trust sha256:{digest}" in refusal.value.message
    assert f"trust: sha256:{digest}" in refusal.value.message
    assert str(tmp_path) not in refusal.value.message
    assert not (tmp_path / "mark").exists()


def test_the_flag_of_the_refusal_works(bomb: Path) -> None:
    spec = resolve(str(bomb), trust=frozenset({f"sha256:{digest_of(bomb)}"}))
    assert spec.trusted
    assert spec.sha256 == digest_of(bomb)


def test_another_digest_does_not(bomb: Path) -> None:
    with pytest.raises(UntrustedFile):
        resolve(str(bomb), trust=frozenset({f"sha256:{DIGEST}"}))


def test_the_store_works_until_the_file_changes(bomb: Path) -> None:
    TrustStore().add(digest_of(bomb), "mine")
    assert resolve(str(bomb)).trusted
    bomb.write_bytes(pickle.dumps([1]))
    with pytest.raises(UntrustedFile):
        resolve(str(bomb))


@pytest.mark.parametrize(
    "text", ["sha256:12", DIGEST, f"md5:{DIGEST}", f"sha256:{DIGEST}0", "", "yes", f"sha256:{'g' * 64}"]
)
def test_malformed_digests_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        parse_digests([text])


def test_digests_ignore_case() -> None:
    assert parse_digests([f"SHA256:{DIGEST.upper()}"]) == {DIGEST}


def test_store_is_for_its_owner_alone(home: Path) -> None:
    TrustStore().add(DIGEST, "iris")
    path = home / "trust.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["trusted"][DIGEST]["name"] == "iris"
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="chmod 600"):
        TrustStore().digests()


def test_store_lives_in_the_configuration_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "penstock" / "trust.json"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path() == tmp_path / ".config" / "penstock" / "trust.json"


def test_adding_keeps_what_is_there() -> None:
    TrustStore().add(DIGEST)
    TrustStore().add("cd" * 32)
    assert TrustStore().digests() == {DIGEST, "cd" * 32}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trusted": 3}', "\udcff"])
def test_damaged_store_is_refused_not_emptied(home: Path, text: str) -> None:
    home.mkdir()
    (home / "trust.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match="damaged"):
        TrustStore().add(DIGEST)
    assert (home / "trust.json").read_bytes() == text.encode(errors="surrogateescape")


def add_some(path: str, start: int) -> None:
    for number in range(start, start + 10):
        TrustStore(Path(path)).add(f"{number:064x}")


def test_writers_at_the_same_time_lose_nothing(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_some, args=(str(home / "trust.json"), n * 10)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(TrustStore().digests()) == 30
