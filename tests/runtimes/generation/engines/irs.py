"""OpenVINO IR folders of the tests' llamas, as `optimum-cli export openvino` would name their parts."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

from penstock.runtimes.generation.engines import openvino_settings
from penstock.runtimes.openvino import library


def export(model: Path, kind: str, folder: Path) -> Path:
    """Writes the folder from a GGUF file of the model, with OpenVINO's own tokenizer beside it."""
    folder.mkdir()
    gguf = folder / "model.gguf"
    gguf.symlink_to(model / f"{kind}.gguf")
    genai = openvino_settings.genai()
    settings = genai.SchedulerConfig()
    settings.num_kv_blocks = 4
    genai.ContinuousBatchingPipeline(str(gguf), settings, "CPU", {"enable_save_ov_model": True})
    gguf.unlink()
    for name in ("config.json", "generation_config.json"):
        shutil.copy(model / "hf" / name, folder)
    _tokenizer(model / "hf", folder)
    return folder


def _tokenizer(hf: Path, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from openvino_tokenizers import convert_tokenizer
        from transformers import AutoTokenizer

        made: Any = convert_tokenizer(AutoTokenizer.from_pretrained(hf), with_detokenizer=True)
    for name, network in zip(("openvino_tokenizer.xml", "openvino_detokenizer.xml"), made, strict=True):
        library().save_model(network, folder / name)
