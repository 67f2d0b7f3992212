"""Files that are no model of complexity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.core.errors import ConfigError
from penstock.routing.complexity.artifact import SHIPPED
from penstock.routing.complexity.estimate import Estimator


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[" * 200_000, b"\xff\xfe", b'{"version": 1}', b"null"],
    ids=["empty", "nothing", "deep", "bytes", "part", "null"],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"own\.json is no complexity model"):
        Estimator.load(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        Estimator.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 99),
        ("features", ["length"]),
        ("quantiles", [0.5]),
        (("text", "weights"), [1.0]),
        (("known", "limits"), []),
        (("known", "table"), "AAAA"),
        (("known", "table"), "no base64!"),
        (("text", "scale"), [0.0] * 31),
        (("vectors", "centres"), "AAAA"),
        (("vectors", "weights"), [1.0]),
    ],
)
def test_another_version_and_missing_numbers_are_refused(tmp_path: Path, key, value) -> None:
    found = json.loads(SHIPPED.read_bytes())
    if isinstance(key, tuple):
        found[key[0]][key[1]] = value
    else:
        found[key] = value
    path = tmp_path / "own.json"
    path.write_text(json.dumps(found))
    with pytest.raises(ConfigError, match="fit it again"):
        Estimator.load(path)
