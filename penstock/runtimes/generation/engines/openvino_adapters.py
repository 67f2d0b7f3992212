"""LoRA adapters with OpenVINO GenAI: read, checked against the model's graph, and put on and off."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.runtimes.openvino import library

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
PREFIX = "base_model.model."
PARTS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
         "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")  # fmt: skip
"""A layer's weights, in the order in which the library's reader of GGUF makes their nodes."""
MAX_HEADER = 16 * 2**20


class Adapters:
    """The adapters of a model, by name. Raises `ModelFileError` for one that cannot be read."""

    def __init__(self, genai: Any, paths: Mapping[str, str]):
        self._genai = genai
        self._read = {name: _read(genai, name, Path(path)) for name, path in paths.items()}

    def all(self) -> Any:
        """What a pipeline is told when it loads: these may be put on later."""
        return self._genai.AdapterConfig([adapter for adapter, _, _ in self._read.values()])

    def put_on(self, pipeline: Any, name: str) -> None:
        """The idle pipeline computes with this adapter from now on; "": without any.

        Requests of their own cannot say it: only a call that generates by itself does.
        """
        config = self._genai.GenerationConfig()
        config.apply_chat_template, config.max_new_tokens, config.ignore_eos = False, 1, True
        config.adapters = self._genai.AdapterConfig()
        if name:
            adapter, scale, _ = self._read[name]
            config.adapters = self._genai.AdapterConfig(adapter, scale)
        pipeline.generate([library().Tensor([[0]])], [config])

    def check(self, graph: Path) -> None:
        """Raises `ModelFileError` for an adapter that changes what the graph has not; the library would ignore it."""
        model = library().Core().read_model(str(graph))
        nodes = [op.get_friendly_name() for op in model.get_ops() if op.get_type_name() == "MatMul"]
        for name, (_, _, changed) in self._read.items():
            for part in changed:
                if not any(part in node for node in nodes):
                    raise ModelFileError(f"the adapter {name!r} changes {part}, which the model has not")


def _read(genai: Any, name: str, path: Path) -> tuple[Any, float, list[str]]:
    """The adapter, its scale, and the names of the weights that it changes."""
    file = path / WEIGHTS if path.is_dir() else path
    try:
        return genai.Adapter(str(file)), _scale(file.with_name(CONFIG)), _changed(file)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFileError(
            f"the adapter {name!r} cannot be read: it takes a PEFT folder, or its {WEIGHTS}", detail=str(error)
        ) from error


def _scale(config: Path) -> float:
    """By how much the adapter's product counts: alpha over rank; 1 where nothing says."""
    if not config.is_file():
        return 1.0
    said = json.loads(config.read_text())
    rank = float(said["r"])
    return float(said["lora_alpha"]) / (math.sqrt(rank) if said.get("use_rslora") else rank)


def _changed(file: Path) -> list[str]:
    with file.open("rb") as data:
        length = int.from_bytes(data.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError("its header is too long")
        names: Iterable[str] = json.loads(data.read(length))
    pattern = re.compile(rf"(?:{re.escape(PREFIX)})?(.+)[._]lora[._](?:A|down)\.weight")
    found = [match[1] for match in map(pattern.fullmatch, names) if match]
    if not found:
        raise ValueError("it has no LoRA weights")
    return found


def named_graph(genai: Any, file: Path, folder: Path) -> Path:
    """Writes a GGUF file's graph into a folder, its weights under the names that adapters know them by.

    Raises `ModelFileError` when the graph is another than expected.
    """
    link = folder / "model.gguf"
    link.symlink_to(file.absolute())
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = 1
    genai.ContinuousBatchingPipeline(str(link), scheduler, "CPU", {"enable_save_ov_model": True})
    link.unlink()
    graph = folder / "openvino_model.xml"
    names = _names(graph)
    text = graph.read_text()
    graph.write_text(re.sub(r'name="(MatMul_\d+)"', lambda node: f'name="{names.get(node[1], node[1])}"', text))
    return graph


def _names(graph: Path) -> dict[str, str]:
    """What the products with weights are called by those who train adapters; the last one may be the vocabulary's."""
    model = library().Core().read_model(str(graph))
    found = [op for op in model.get_ops() if op.get_type_name() == "MatMul" and _of_weights(op)]
    nodes = sorted((op.get_friendly_name() for op in found), key=lambda name: int(name.rpartition("_")[2]))
    if len(nodes) % len(PARTS) > 1:
        raise ModelFileError("adapters cannot be put on this GGUF file; use the model's OpenVINO IR folder")
    whole = len(nodes) // len(PARTS) * len(PARTS)
    return {node: f"model.layers.{at // len(PARTS)}.{PARTS[at % len(PARTS)]}" for at, node in enumerate(nodes[:whole])}


def _of_weights(product: Any) -> bool:
    node = product.input_value(1).get_node()
    while node.get_type_name() != "Constant":
        if not node.get_input_size():
            return False
        node = node.input_value(0).get_node()
    return True
