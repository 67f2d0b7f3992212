"""`penstock keys` as a person runs it: what it prints, where it keeps keys, what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.durations import in_words, moment, seconds
from penstock.cli.main import main
from penstock.core.errors import ConfigError

KEY = re.compile(r"pst-[a-z2-9]{12}-[A-Za-z0-9_-]{43}")


def keys(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock.cli.main", "keys", *arguments]
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "NO_COLOR": "1", "COLUMNS": "200", **environ}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, env=environment)


def made(*arguments: str, folder: Path, **environ: str) -> str:
    """A new key; standard output holds nothing else, so that a script can keep it in a variable."""
    done = keys("create", *arguments, folder=folder, **environ)
    assert done.returncode == 0, done.stderr
    text = done.stdout.removesuffix("\n")
    assert KEY.fullmatch(text), done.stdout
    assert text not in done.stderr
    return text


def listed(*arguments: str, folder: Path, **environ: str) -> list[dict[str, object]]:
    done = keys("list", "--json", *arguments, folder=folder, **environ)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_a_keys_life(tmp_path: Path) -> None:
    text = made("acme", "--name", "front end", "--routes", "chat, iris", "--expires", "30d", folder=tmp_path)
    (key,) = listed(folder=tmp_path)
    assert key["id"] == text[4:16]
    assert (key["tenant"], key["name"], key["routes"]) == ("acme", "front end", ["chat", "iris"])
    assert (key["verbs"], key["state"], key["used_at"]) == (["infer", "read"], "active", None)
    assert text[-43:] not in json.dumps(key)
    shown = keys("list", folder=tmp_path).stdout
    for word in (text[4:16], "acme", "front end", "infer, read", "chat, iris", "active until"):
        assert word in shown
    rotated = keys("rotate", text[4:16], "--grace", "1h", folder=tmp_path)
    assert KEY.fullmatch(rotated.stdout.strip())
    assert rotated.stdout[:17] == text[:17]
    assert "good until" in rotated.stderr
    ended = keys("revoke", text, folder=tmp_path)
    assert ended.stdout == f"revoked: {text[4:16]} (acme)\n"
    assert listed(folder=tmp_path) == []
    assert [key["state"] for key in listed("--all", folder=tmp_path)] == ["revoked"]


def test_the_list_is_empty_before_the_first_key_and_makes_no_file(tmp_path: Path) -> None:
    done = keys("list", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "penstock keys create" in done.stderr
    assert listed(folder=tmp_path) == []
    assert not (tmp_path / "state").exists()


def test_json_has_all_that_a_program_needs(tmp_path: Path) -> None:
    done = keys("create", "acme", "--verbs", "infer,manage", "--json", folder=tmp_path)
    said = json.loads(done.stdout)
    assert KEY.fullmatch(said["key"])
    assert (said["tenant"], said["verbs"], said["routes"]) == ("acme", ["infer", "manage"], None)
    again = json.loads(keys("rotate", said["id"], "--json", folder=tmp_path).stdout)
    assert again["id"] == said["id"]
    assert again["previous_until"] is None


def test_keys_are_kept_where_the_server_keeps_its_state(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (project / "penstock.yaml").write_text("state: {url: 'sqlite:///own.db'}\n")
    made("by-folder", folder=project)
    made("by-flag", "--config", str(project / "penstock.yaml"), folder=elsewhere)
    assert (project / "own.db").exists()
    url = f"sqlite:///{project / 'own.db'}"
    made("by-url", "--state", url, folder=elsewhere)
    made("by-variable", folder=elsewhere, PENSTOCK_STATE__URL=url)
    assert [key["tenant"] for key in listed(folder=project)] == ["by-folder", "by-flag", "by-url", "by-variable"]
    assert listed(folder=elsewhere) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "internal"), "take another"),
        (("create", "a b"), "a tenant is"),
        (("create", "acme", "--verbs", "infr"), "did you mean infer"),
        (("create", "acme", "--verbs", ","), "must allow something"),
        (("create", "acme", "--expires", "soon"), "no date"),
        (("create", "acme", "--expires", "2001-01-01"), "in the future"),
        (("create", "acme", "--state", "none"), "name a database"),
        (("create", "acme", "--state", "mysql://u:hidden@h/d"), "postgresql://"),
        (("create", "acme", "--config", "missing.yaml"), "missing.yaml"),
        (("revoke", "nonsense"), "no key's id"),
        (("revoke", "aaaaaaaaaaaa"), "penstock keys list"),
        (("rotate", "aaaaaaaaaaaa", "--grace", "long"), "24h"),
    ],
)
def test_refusals_say_what_would_work(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["keys", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert not said.out
    assert says in said.err
    assert "hidden" not in said.err


def test_a_database_that_is_away_is_said_without_a_password(tmp_path: Path) -> None:
    done = keys("list", "--state", "postgresql://me:hidden@127.0.0.1:1/db", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "hidden" not in done.stderr
    assert "127.0.0.1" in done.stderr, "the person who asks must learn which database is meant"


def test_spans_and_dates() -> None:
    assert [seconds(text) for text in ("90s", "5m", "24h", "30D", " 2w ")] == [90, 300, 86_400, 2_592_000, 1_209_600]
    assert moment("1h", 100.0) == 3700.0
    assert in_words(moment("2030-12-31", 0.0)) == "2030-12-31 00:00"
    assert in_words(None) == ""
    for text in ("", "h", "-1h", "1.5h", "1y", "9999999d", "99999-01-01"):
        with pytest.raises(ConfigError):
            moment(text, time.time())
