"""Random llamas, written once per session, and what transformers says of them in FP32."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

# torch's threads spin while they wait for their turn on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from bench.llm.models import SMALL, Shape, write
from tests.runtimes.generation.engines.loaded import Loaded, load
from tests.runtimes.generation.engines.plain_transformers import Reference

SHAPES: dict[str, Shape] = {"tied": SMALL, "untied": replace(SMALL, tied=False, kv_heads=4, seed=1)}


@pytest.fixture(scope="session", params=list(SHAPES))
def llama(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of a random llama: hf/, f16.gguf, q8_0.gguf."""
    return written(tmp_path_factory, request.param)


@pytest.fixture(scope="session")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first of them."""
    return written(tmp_path_factory, "tied")


def written(factory: pytest.TempPathFactory, name: str) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("gguf")
    folder = factory.getbasetemp() / f"llama-{name}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(folder, SHAPES[name], ("f16", "q8_0"))
    return folder


@pytest.fixture(scope="session")
def reference(llama: Path) -> Reference:
    """transformers itself, without any engine of ours."""
    return Reference(llama / "hf")


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, tied: Path) -> Loaded:
    """The engine that the test is parametrized with, loaded once per file."""
    return load(request.param, tied)
