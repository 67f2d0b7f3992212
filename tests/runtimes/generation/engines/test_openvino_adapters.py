"""LoRA adapters: each request gets its own, in turns; one that does not fit the model is refused."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import BadInput, ModelFileError
from tests.runtimes.generation.engines.loaded import KINDS, Kind, load
from tests.runtimes.generation.engines.test_openvino import FOLDER, LONG, OPENVINO

pytestmark = pytest.mark.skipif(bool(KINDS[0].absent), reason=KINDS[0].absent)
PROMPTS = [LONG[:length] for length in (3, 40, 64, 100)]
RANK = 4


def adapter(folder: Path, seed: int, *, layers: int = 2, alpha: float = 8.0) -> Path:
    """A PEFT folder with random weights for the queries and what follows the attention."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    made: dict[str, Any] = {}
    random_ = torch.Generator().manual_seed(seed)
    for layer in range(layers):
        for part, inner, outer in (("self_attn.q_proj", 64, 64), ("mlp.down_proj", 128, 64)):
            name = f"base_model.model.model.layers.{layer}.{part}"
            made[f"{name}.lora_A.weight"] = torch.randn(RANK, inner, generator=random_) * 0.2
            made[f"{name}.lora_B.weight"] = torch.randn(outer, RANK, generator=random_) * 0.2
    save_file(made, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": alpha}))
    return folder


def merged(model: Path, folder: Path, prompts: list[list[int]], count: int) -> list[list[int]]:
    """What transformers says with the adapter added to the weights."""
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = LlamaForCausalLM.from_pretrained(model / "hf", dtype=torch.float32).eval()
    tensors, said = (
        load_file(folder / "adapter_model.safetensors"),
        json.loads((folder / "adapter_config.json").read_text()),
    )
    for name, down in tensors.items():
        if ".lora_A." in name:
            weight = network.get_submodule(name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")).weight
            weight.data += tensors[name.replace("lora_A", "lora_B")] @ down * (said["lora_alpha"] / said["r"])
    answers = []
    for prompt in prompts:
        tokens = list(prompt)
        with torch.inference_mode():
            for _ in range(count):
                tokens.append(int(network(torch.tensor([tokens])).logits[0, -1].argmax()))
        answers.append(tokens[len(prompt) :])
    return answers


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("adapters")
    return {"law": str(adapter(folder / "law", 1)), "art": str(adapter(folder / "art", 2, alpha=2.0))}


def test_every_request_gets_its_own_adapter(tied: Path, adapters: dict[str, str]) -> None:
    loaded, draw = load(OPENVINO, tied, adapters=adapters, chunk=64), random.Random(1)
    wanted = {name: merged(tied, Path(path), PROMPTS, 8) for name, path in adapters.items()}
    wanted[""] = load(OPENVINO, tied).all(PROMPTS, max_tokens=8)
    assert wanted["law"] != wanted["art"] != wanted[""]
    asked: dict[int, tuple[str, int]] = {}
    for _ in range(24):
        name, which = draw.choice(["", "law", "art"]), draw.randrange(len(PROMPTS))
        asked[loaded.submit(PROMPTS[which], adapter=name, max_tokens=8)] = (name, which)
        for _ in range(draw.randrange(3)):
            loaded.step()
    loaded.finish()
    for id, (name, which) in asked.items():
        assert loaded.tokens[id] == wanted[name][which], (name, which)


def test_an_ir_folder_takes_adapters_by_its_own_names(tied: Path, adapters: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("openvino_tokenizers")
    from tests.runtimes.generation.engines.irs import export

    folder = export(tied, "q8_0", tmp_path / "ir-f16")
    with pytest.raises(ModelFileError, match="'law' changes"):
        load(FOLDER, tmp_path, adapters=adapters)
    from penstock.runtimes.generation.engines import openvino_adapters, openvino_settings

    (tmp_path / "named").mkdir()
    graph = openvino_adapters.named_graph(openvino_settings.genai(), tied / "q8_0.gguf", tmp_path / "named")
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (folder / name).write_bytes((graph.parent / name).read_bytes())
    loaded = load(FOLDER, tmp_path, adapters=adapters)
    assert loaded.one(PROMPTS[1]) == load(Kind("openvino", "gguf", "q8_0.gguf"), tied).one(PROMPTS[1])
    id = loaded.submit(PROMPTS[1], adapter="law")
    loaded.finish()
    assert loaded.tokens[id] != loaded.one(PROMPTS[1])


def test_adapters_that_do_not_fit_are_refused(tied: Path, adapters: dict[str, str], tmp_path: Path) -> None:
    deep = adapter(tmp_path / "deep", 3, layers=5)
    with pytest.raises(ModelFileError, match="'deep' changes"):
        load(OPENVINO, tied, adapters={"deep": str(deep)})
    (tmp_path / "text.safetensors").write_text("not an adapter")
    for path in (tmp_path / "text.safetensors", tmp_path / "none"):
        with pytest.raises(ModelFileError, match="PEFT") as refused:
            load(OPENVINO, tied, adapters={"bad": str(path)})
        assert str(tmp_path) not in refused.value.message
    loaded = load(OPENVINO, tied, adapters=adapters)
    with pytest.raises(BadInput, match="no adapter"):
        loaded.submit(PROMPTS[0], adapter="none")


def test_a_cancelled_request_does_not_keep_its_adapter(tied: Path, adapters: dict[str, str]) -> None:
    loaded = load(OPENVINO, tied, adapters=adapters)
    plain = loaded.one(PROMPTS[2])
    for _ in range(6):
        id = loaded.submit(PROMPTS[2], adapter="law", max_tokens=100)
        loaded.step()
        loaded.engine.cancel(id)
        assert loaded.one(PROMPTS[2]) == plain
