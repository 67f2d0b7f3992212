"""LoRA adapters in llama.cpp's engine: each sequence gets its own, and they equal merged weights."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import BadInput, ModelFileError
from tests.runtimes.generation.engines import lora
from tests.runtimes.generation.engines.driving import TINY, finish, sampling
from tests.runtimes.generation.engines.reference import greedy

if importlib.util.find_spec("llama_cpp") is None:
    pytest.skip("llama.cpp's Python bindings are not installed", allow_module_level=True)
pytest.importorskip("safetensors")

from tests.runtimes.generation.engines.test_llamacpp import END, QUESTIONS, Loaded


def test_each_sequence_has_its_own_adapter(tmp_path: Path) -> None:
    folders = {name: str(lora.write_adapter(tmp_path / name, seed)) for seed, name in enumerate(("first", "second"))}
    loaded = Loaded(adapters=folders, kv_precision="f32")
    assert loaded.engine.can.adapters
    prompt = loaded.prompt(QUESTIONS[0])
    for turn in range(2):
        for id, name in enumerate(("", "first", "second")):
            loaded.engine.submit(10 * turn + id, prompt, sampling(), "", name)
        answers = finish(loaded.engine, [10 * turn + id for id in range(3)])
        texts = [answers[10 * turn + id].tokens for id in range(3)]
        assert texts[0] == greedy(TINY, prompt, 24, END)
        assert texts[1:] == [lora.greedy(lora.merged(seed), prompt, 24, END) for seed in range(2)]
        known = {answer.cached for answer in answers.values()}
        assert known == ({0} if turn == 0 else {len(prompt) - 1}), "a beginning is known by its adapter alone"


def test_an_unknown_adapter_is_refused() -> None:
    loaded = Loaded()
    with pytest.raises(BadInput, match="adapter"):
        loaded.engine.submit(1, loaded.prompt(QUESTIONS[0]), sampling(), "", "none")
    assert not loaded.engine.busy


@pytest.mark.parametrize(
    "setting", [{"use_dora": True}, {"rank_pattern": {"q_proj": 2}}, {"modules_to_save": ["lm_head"]}]
)
def test_what_cannot_be_applied_is_refused(tmp_path: Path, setting: dict[str, Any]) -> None:
    folder = lora.write_adapter(tmp_path / "odd", 0, **setting)
    with pytest.raises(ModelFileError, match=next(iter(setting))):
        Loaded(adapters={"odd": str(folder)})


@pytest.mark.parametrize("damage", ["missing", "config", "cut", "header", "gguf"])
def test_damaged_adapters_are_refused_by_name(tmp_path: Path, damage: str) -> None:
    folder = lora.write_adapter(tmp_path / "odd", 0)
    weights = folder / "adapter_model.safetensors"
    source = folder
    match damage:
        case "missing":
            source = tmp_path / "none"
        case "config":
            (folder / "adapter_config.json").write_text(json.dumps({"r": 4}))
        case "cut":
            weights.write_bytes(weights.read_bytes()[:9000])
        case "header":
            weights.write_bytes(b"\xff" * 64)
        case "gguf":
            source = tmp_path / "a.gguf"
            source.write_bytes(b"GGUF" + b"\x03" * 40)
    with pytest.raises(ModelFileError, match="odd") as caught:
        Loaded(adapters={"odd": str(source)})
    assert str(tmp_path) not in str(caught.value)
