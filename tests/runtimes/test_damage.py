"""Damaged files of formats that load without trust: refused in our words, or at worst the process ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtimes.models import CASES

COPIES = 60
# A copy's number when it begins and, unless it ended the process, what came of it.
LINE = re.compile(r"^COPY (\d+)\n(?:(?!COPY|SAID).*\n)*(?:SAID (.*))?", re.MULTILINE)


def outcomes(runtime: str, format: str, file: str) -> dict[int, str]:
    """What loading each damaged copy said; "crash" where it ended the process, as it would a worker."""
    said: dict[int, str] = {}
    while len(said) < COPIES:
        command = [sys.executable, "-m", "tests.runtimes.damage", runtime, format, file, str(len(said)), str(COPIES)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=100)
        for number, text in LINE.findall(done.stdout):
            said[int(number)] = text or "crash"
        if done.returncode == 0:
            break
        assert done.returncode < 0, done.stderr
    return said


@pytest.mark.parametrize(
    "name", ["onnx_plain", "skops", "xgboost_classifier", "xgboost_binary_json", "lightgbm_classifier"]
)
def test_damaged_copies(tmp_path: Path, name: str) -> None:
    spec = CASES[name](tmp_path / "model").spec
    said = outcomes(spec.runtime, spec.format, spec.path)
    assert len(said) == COPIES
    assert not {number: text for number, text in said.items() if text.startswith("OTHER")}
    refused = [text for text in said.values() if text in ("ModelFileError", "UntrustedFile", "ConfigError")]
    assert len(refused) >= COPIES // 3
    crashed = sum(text == "crash" for text in said.values())
    # Only LightGBM's parser, which has no other way to report an error from its threads.
    assert crashed <= (COPIES // 4 if spec.runtime == "lightgbm" else 0)
