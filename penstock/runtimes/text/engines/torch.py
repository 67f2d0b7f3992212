"""Transformers' own networks on PyTorch, from a safetensors folder; made for CUDA devices."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import Task, TextModel
from penstock.runtimes.text.engines.feed import TYPES
from penstock.runtimes.torch import choose_device

CLASSES: dict[Task, str] = {
    "embedding": "AutoModel",
    "classification": "AutoModelForSequenceClassification",
    "reranking": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
}
_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class TorchEngine:
    """One module on its device."""

    def __init__(self, module: Any, task: Task, device: str):
        self._module = module
        self._device = device
        self._typed = TYPES in inspect.signature(module.forward).parameters
        self.output = "last_hidden_state" if task == "embedding" else "logits"

    def run(self, ids: Array, mask: Array, types: Array | None) -> Array:
        """One batch."""
        import torch

        feed = {"input_ids": ids, "attention_mask": mask}
        if types is not None and self._typed:
            feed[TYPES] = types
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(self._device) for name, array in feed.items()}
            values = self._module(**tensors)[self.output]
            return np.asarray(values.float().cpu().numpy())


def open_engine(spec: ModelSpec, model: TextModel, pad: int) -> TorchEngine:
    """Loads the folder's weights into transformers' own class; no code of the folder is run.

    Raises `ModelFileError` when weights are missing, damaged, or of an architecture that it does not have.
    """
    if model.dynamic_quantization:
        raise ConfigError("dynamic_quantization is for engine: openvino; leave it out")
    import torch

    torch.set_num_threads(spec.threads)
    device = choose_device(spec.device)
    module, report = _load(spec.path, model)
    missing = missing_parts(report, model.task)
    if missing:
        raise ModelFileError(f"the folder has no weights for {len(missing)} parts of the network, {missing[0]} first")
    return TorchEngine(module.to(device).eval(), model.task, device)


def missing_parts(report: Mapping[str, Any], task: Task) -> list[str]:
    """The weights that transformers found nowhere and drew by chance, but for those that the answer never passes."""
    return sorted(name for name in report["missing_keys"] if not (task == "embedding" and "pooler" in name))


def _load(folder: str, model: TextModel) -> tuple[Any, Any]:
    import torch
    import transformers

    with _silent():
        try:
            loaded = getattr(transformers, CLASSES[model.task]).from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=getattr(torch, _DTYPES[model.inference]), output_loading_info=True,
            )  # fmt: skip
        except Exception as error:
            raise ModelFileError(_reason(error, transformers.__version__), detail=str(error)) from error
    return loaded[0], loaded[1]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """What transformers says while it loads is for whoever writes the file; what matters is an error here."""
    from transformers.utils import logging as found

    logging: Any = found
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _reason(error: Exception, version: str) -> str:
    known = {
        "SafetensorError": "its safetensors file is truncated or damaged",
        "JSONDecodeError": "its config.json is truncated or damaged",
        "KeyError": "its architecture is unknown to this version",
        "ValueError": "its architecture is unknown to this version, or has no such task",
        "RuntimeError": "its weights do not have the shapes that config.json describes",
        "OSError": "a file is missing: it takes config.json and model.safetensors",
    }
    reason = next((known[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in known), "it is damaged")
    return f"transformers {version} cannot load the folder: {reason}"
