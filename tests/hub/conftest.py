"""A hub of its own for every test, and an environment in which only that one is known."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub_server
from tests.hub_server import Hub
from tests.repository.folders import folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    pytest.importorskip("huggingface_hub")
    for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with hub_server.running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
        monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
        yield server


@pytest.fixture
def here(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads run in this process instead of a child of their own, which takes most of a second to start."""
    from huggingface_hub import constants

    from penstock.repository.hub import download, fetching

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(fetching, "fetch", lambda request, say=None: download.obtain(request))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """The files of an embedding model: 4 MB of weights, and things that nobody needs."""
    from tests.repository.folders import MODULES, POOLING, safetensors

    extra = {"modules.json": MODULES, POOLING: {"pooling_mode_cls_token": True}, "README.md": b"read me"}
    junk = {"tf_model.h5": b"h5", "pytorch_model.bin": b"pickle", "modeling.py": b"import os", "train.csv": b"1,2"}
    weights = {"model.safetensors": safetensors(numbers=1_000_000)}
    return hub_server.contents(folder(tmp_path / "upstream", **extra, **junk, **weights))
