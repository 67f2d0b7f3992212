"""Reads a Hugging Face folder's causal language model into torch. No code of the folder ever runs."""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.engines import engine_options


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `engine_options` of transformers.

    `dtype`: the arithmetic; auto: float32 on the CPU, bfloat16 on a GPU. `attention`: the implementation.
    """

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    attention: Literal["sdpa", "eager"] = "sdpa"


def device_of(spec: ModelSpec) -> Any:
    """Where it is computed. Raises `ConfigError` for a GPU that is not there."""
    torch = _torch()
    found = torch.cuda.is_available()
    if spec.device == "auto":
        return torch.device("cuda" if found else "cpu")
    if spec.device.startswith("cuda") and not found:
        raise ConfigError(f"device: {spec.device} is asked for, and this machine has no GPU that torch can use")
    return torch.device(spec.device)


def network(spec: ModelSpec, model: LanguageModel, device: Any) -> Any:
    """The model, ready to run. Raises `ModelFileError`."""
    torch, own = _torch(), engine_options.read(Options, model.engine_options, "transformers")
    kind = own.dtype if own.dtype != "auto" else "bfloat16" if device.type == "cuda" else "float32"
    _check(Path(spec.path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = _read(spec.path, dtype=getattr(torch, kind), attn_implementation=own.attention)
        return loaded.to(device).eval()
    except Exception as error:
        raise ModelFileError("transformers cannot load the model", detail=str(error)) from error


def _torch() -> Any:
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("transformers and torch are not installed: pip install 'penstock[transformers]'") from error
    return torch


def _read(path: str, **settings: Any) -> Any:
    from transformers import AutoModelForCausalLM

    logging: Any = import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return AutoModelForCausalLM.from_pretrained(
            path, trust_remote_code=False, local_files_only=True, use_safetensors=True, **settings
        )
    finally:
        if shown:
            logging.enable_progress_bar()


def _check(folder: Path) -> None:
    """Raises `ModelFileError` for what this engine cannot run."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise ModelFileError("the model's config.json is missing or damaged") from error
    kinds = {str(kind) for kind in config.get("layer_types") or ()}
    if any("linear" in kind or "mamba" in kind or "conv" in kind for kind in kinds):
        raise ModelFileError("the model has layers that keep a state, which this engine cannot batch; engine: vllm can")
