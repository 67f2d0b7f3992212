"""penstock estimate: numbers without loading anything, for people and for programs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from penstock.cli.main import app
from penstock.core.errors import ConfigError
from penstock.runtimes.generation import choice, memory
from tests.repository import ggufs
from tests.repository.conftest import onnx_bytes


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every engine is installed, there is no GPU, and 4 GB are free."""
    monkeypatch.setattr(choice, "installed", lambda name: True)
    monkeypatch.setattr(choice, "has_gpu", lambda: False)
    monkeypatch.setattr(memory, "available", lambda device="cpu": 4 * 10**9)
    monkeypatch.setenv("COLUMNS", "160")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def told(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json").stdout)
    return found


def test_for_people(tmp_path: Path) -> None:
    result = run(ggufs.write(tmp_path / "small.gguf"))
    assert result.exit_code == 0
    for text in ("small", "weights", "cache", "overhead", "together", "free: 4.0 GB", "16 answers at once, 64 tokens"):
        assert text in result.stdout
    assert "openvino: the fastest on CPUs for llama in Q8_0" in result.stdout
    assert "it fits" in result.stdout


def test_for_programs(tmp_path: Path) -> None:
    found = told(ggufs.write(tmp_path / "small.gguf"), "--sequences", "2", "--context", "32", "--engine", "llamacpp")
    assert (found["name"], found["engine"], found["sequences"], found["context"]) == ("small", "llamacpp", 2, 32)
    sizes = found["bytes"]
    assert sizes["total"] == sizes["weights"] + sizes["kv"] + sizes["overhead"]
    assert sizes["kv"] == 2 * 32 * (2 * 2 * 2 * 8 * 2)
    assert (sizes["free"], found["fits"]) == (4 * 10**9, True)


def test_what_does_not_fit(tmp_path: Path) -> None:
    long = ggufs.write(tmp_path / "long.gguf", ggufs.settings(llama__context_length=10_000_000))
    shorter = told(long)
    assert shorter["fits"]
    assert shorter["context"] < shorter["trained_context"] == 10_000_000
    result = run(long, "--context", "10000000")
    assert result.exit_code == 3
    assert "it does not fit: it needs" in result.stdout
    assert "it would fit with context: " in result.stdout


def test_what_is_no_language_model(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    result = run(tmp_path / "m.onnx")
    assert isinstance(result.exception, ConfigError)
    assert "m is no language model" in result.exception.message


def test_wrong_options(tmp_path: Path) -> None:
    result = run(ggufs.write(tmp_path / "m.gguf"), "--engine", "magic")
    assert isinstance(result.exception, ConfigError)


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--engine", "foo", "--engine is one of auto, openvino, llamacpp, vllm, transformers, and not 'foo'"),
        ("--kv-precision", "f8", "--kv-precision is one of auto, f32, f16, bf16, u8"),
        ("--device", "gpu", "--device is auto, cpu, cuda or cuda:N, and not 'gpu'"),
    ],
)
def test_a_wrong_flag_is_named_with_what_there_is(tmp_path: Path, flag: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        CliRunner().invoke(
            app, ["estimate", str(ggufs.write(tmp_path / "a.gguf")), flag, value], catch_exceptions=False
        )


@pytest.mark.parametrize("flag", ["--context", "--sequences"])
def test_nothing_of_something_is_no_estimate(tmp_path: Path, flag: str) -> None:
    assert run(ggufs.write(tmp_path / "a.gguf"), flag, "0").exit_code == 2


def test_where_no_memory_is_seen_nobody_says_that_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda device="cpu": None)
    found = told(ggufs.write(tmp_path / "a.gguf"), "--device", "cuda")
    assert (found["fits"], found["bytes"]["free"]) == (None, None)
    assert "is not known" in found["verdict"]
