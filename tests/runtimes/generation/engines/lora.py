"""Small random LoRA adapters for the demo's model, as PEFT writes them, and what they make of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtimes.generation.engines.driving import TINY
from tests.runtimes.generation.engines.reference import reference

RANK, ALPHA = 4, 8
MODULES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.down_proj")


def write_adapter(folder: Path, seed: int, **settings: Any) -> Path:
    """An adapter's folder."""
    from safetensors.numpy import save_file

    folder.mkdir()
    described = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["q_proj"], **settings}
    (folder / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    tensors = {f"base_model.model.{name}": part for name, part in _parts(seed).items()}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def _parts(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    parts: dict[str, Any] = {}
    for layer, block in enumerate(reference(TINY).model.layers):
        for module in MODULES:
            rows, columns = block.get_submodule(module).weight.shape
            name = f"model.layers.{layer}.{module}"
            parts[f"{name}.lora_A.weight"] = random.normal(0, 0.1, (RANK, columns)).astype(np.float32)
            parts[f"{name}.lora_B.weight"] = random.normal(0, 0.1, (rows, RANK)).astype(np.float32)
    return parts


def merged(seed: int) -> Any:
    """The demo's model with the adapter's weights added, in transformers."""
    import torch

    model = copy.deepcopy(reference(TINY))
    parts = _parts(seed)
    with torch.no_grad():
        for name in (name.removesuffix(".lora_A.weight") for name in parts if name.endswith("A.weight")):
            change = parts[f"{name}.lora_B.weight"] @ parts[f"{name}.lora_A.weight"]
            model.get_submodule(name).weight += torch.tensor(change * ALPHA / RANK)
    return model


def greedy(model: Any, prompt: list[int], length: int, end: int) -> list[int]:
    """The likeliest tokens after a prompt, up to and with `end`."""
    import torch

    tokens = list(prompt)
    with torch.no_grad():
        while len(tokens) < len(prompt) + length and tokens[-1] != end:
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(prompt) :]
