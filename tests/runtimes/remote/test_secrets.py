"""Keys of providers: found where they are, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.core.errors import ConfigError
from penstock.runtimes.remote.secrets import Hidden, found, resolved, usual

KEY = "sk-very-secret-0123456789"


def test_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    secret = found("env:MY_KEY")
    assert secret.reveal() == KEY
    assert KEY not in f"{secret!r} {secret} {secret.place}"


def test_secrets_are_hidden_whoever_repeats_them() -> None:
    hidden = Hidden()
    hidden.add(KEY)
    for short in ("", "none", "ollama"):
        hidden.add(short)
    hidden.add_header(f"Bearer {KEY}-of-another-kind")
    hidden.add_header("blue")
    for words, found_there in (
        (f"wrong key {KEY}!", "wrong key [hidden]!"),
        (f"wrong key {KEY}-of-another-kind", "wrong key [hidden]"),
        (f"wrong header Bearer {KEY}-of-another-kind", "wrong header [hidden]"),
        (f"cut {KEY[:12]}...", "cut [hidden]..."),
        ("the blue team of ollama", "the blue team of ollama"),
        ("", ""),
    ):
        assert hidden.out_of(words) == found_there


def test_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    secret = found(f"file:{file}")
    assert secret.reveal() == KEY
    assert not secret.renew()
    file.write_text("another-key")
    assert secret.renew()
    assert secret.reveal() == "another-key"
    file.unlink()
    assert not secret.renew()
    assert secret.reveal() == "another-key"


def test_in_a_file_of_several(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text(f"# keys\nexport OTHER=x\nOPENAI = '{KEY}'\n")
    assert found(f"file:{file}#OPENAI").reveal() == KEY
    assert found(f"file:{file}#OTHER").reveal() == "x"
    with pytest.raises(ConfigError, match="has no line MISSING="):
        found(f"file:{file}#MISSING")


def test_the_first_usual_variable_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIRST_KEY", raising=False)
    monkeypatch.setenv("SECOND_KEY", KEY)
    secret = usual(("FIRST_KEY", "SECOND_KEY"))
    assert secret is not None
    assert secret.reveal() == KEY
    assert usual(("FIRST_KEY",)) is None


@pytest.mark.parametrize("given", [KEY, "", f"Bearer {KEY}", f"env:{KEY}", f"env: {KEY}", f"ENV:{KEY}"])
def test_a_key_in_the_settings_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(ConfigError, match="env:NAME") as refused:
        found(given)
    assert KEY not in refused.value.message


def test_a_variable_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_KEY", "  ")
    for name in ("EMPTY_KEY", "NO_SUCH_KEY"):
        with pytest.raises(ConfigError, match=f"{name} is not set"):
            found(f"env:{name}")


@pytest.mark.parametrize("text", ["two words", "line\nbreak", "naïve", "nul\0", "\r\nx: y"])
def test_what_no_header_may_hold(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(f"a{text}")
    with pytest.raises(ConfigError, match="holds no key") as refused:
        found(f"file:{file}")
    assert text not in refused.value.message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        found(f"file:{tmp_path / 'none'}")
    with pytest.raises(ConfigError, match="cannot be read"):
        found(f"file:{tmp_path}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        found(f"file:{tmp_path / 'binary'}")


def test_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "blue")
    assert resolved({"X-Team": "env:TEAM", "X-Plain": "a b"}) == {"x-team": "blue", "x-plain": "a b"}
    for headers in ({"x y": "a"}, {"x": "a\r\nb: c"}, {"x:": "a"}):
        with pytest.raises(ConfigError, match="cannot be sent"):
            resolved(headers)
