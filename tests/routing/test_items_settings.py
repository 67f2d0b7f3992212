"""The cache's setting, as it is written in YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.file import examine
from penstock.config.schema import Config
from penstock.routing.settings import CacheSettings


def told(tmp_path: Path, model: str) -> tuple[Config | None, list[str]]:
    path = tmp_path / "penstock.yaml"
    path.write_text(f"models:\n  m:\n    source: ./m.onnx\n    {model}\n")
    config, problems = examine(path)
    return config, [str(problem).partition(": ")[2] for problem in problems]


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("cache: {max_mb: 64}", CacheSettings(64)),
        ("cache: {max_mb: 0.5}", CacheSettings(0.5)),
        ("cache: {}", CacheSettings(256)),
        ("replicas: 1", None),
    ],
)
def test_right_settings(tmp_path: Path, model: str, settings: CacheSettings | None) -> None:
    config, problems = told(tmp_path, model)
    assert problems == []
    assert config is not None
    assert config.models["m"].cache == settings


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("cache: {max_mb: 0}", "models.m.cache.max_mb: must be a number (over 0, at most 1000000), not the number 0"),
        ("cache: {max_mb: -1}", "models.m.cache.max_mb: must be a number (over 0, at most 1000000), not the number -1"),
        ("cache: {max_mb: .inf}", "models.m.cache.max_mb: must be a number (over 0, at most 1000000)"),
        ("cache: {max_mb: .nan}", "models.m.cache.max_mb: must be a number (over 0, at most 1000000)"),
        ("cache: {max_md: 1}", "models.m.cache.max_md: unknown setting; did you mean max_mb?"),
        ("cache: 64", "models.m.cache: must be a mapping of settings (max_mb...), not the number 64"),
        ("cache:", "models.m.cache: must be a mapping of settings (max_mb...), not nothing"),
        ("{cache: {}, pure: false}", "models.m.cache: cannot be used with pure: false"),
    ],
)
def test_wrong_settings(tmp_path: Path, model: str, problem: str) -> None:
    if model.startswith("{"):
        model = "cache: {}\n    pure: false"
    config, problems = told(tmp_path, model)
    assert config is None
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODELS__M__CACHE__MAX_MB", "12")
    config, problems = told(tmp_path, "replicas: 1")
    assert problems == []
    assert config is not None
    assert config.models["m"].cache == CacheSettings(12)
