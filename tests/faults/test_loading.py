"""Models that never come up: the server says why and ends, instead of trying for ever."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.servers import COMMAND

DIES = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\ndef predict(x: list[float]) -> list[float]: return x\n"
BROKEN = "def predict(x: list[float]) -> list[float]: raise RuntimeError('no weights')\n"


def serve(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "model.py").write_text(source)
    command = [*COMMAND, "model.py:predict", "--port", "0", "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)


def test_a_worker_that_dies_while_loading(tmp_path: Path) -> None:
    done = serve(tmp_path, DIES)
    assert done.returncode == 2
    assert "model 'predict': the worker died while it loaded the model (signal SIGSEGV)" in done.stderr
    assert done.stdout == ""


def test_a_model_that_fails_on_its_first_inference_is_never_ready(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("models:\n  m: {source: 'model.py:predict', example: [1.0]}\n")
    (tmp_path / "model.py").write_text(BROKEN)
    command = [*COMMAND, "penstock.yaml", "--port", "0", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 2
    assert "no weights" in done.stderr
    assert done.stdout == ""
