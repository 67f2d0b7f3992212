"""A text model's network, built by transformers from a folder's weights; no code of the folder is run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import Task, TextModel
from penstock.repository.trust import digest_of
from penstock.runtimes.text.engines.torch import CLASSES, missing_parts

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
SUPPORTED = (
    "BERT, DistilBERT, RoBERTa, XLM-R, MPNet, MiniLM, ELECTRA, ALBERT, CamemBERT, DeBERTa, DeBERTa-v2, ModernBERT, XLM"
)
_PICKLE = "pytorch_model.bin"


class Network:
    """One module in fp32 on the CPU. `inputs`: the names it is fed by; `output`: the name of what it answers.

    `padding`: the id that fills up, as its config says. `known`: token ids stop below it.
    """

    def __init__(self, module: Any, task: Task):
        self.module = module
        config = module.config.get_text_config()
        self.inputs = (IDS, MASK, TYPES) if _typed(module, config) else (IDS, MASK)
        self.output = "last_hidden_state" if task == "embedding" else "logits"
        self.padding = config.pad_token_id if isinstance(config.pad_token_id, int) else 0
        self.known = int(config.vocab_size)

    def wrapped(self) -> Any:
        """A torch module that takes the inputs in order, and gives the output alone."""
        import torch

        network = self

        class Wrapped(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = network.module

            def forward(self, *inputs: Any) -> Any:
                named = dict(zip(network.inputs, inputs, strict=True))
                return self.inner(**named, return_dict=True)[network.output]

        return Wrapped().eval()

    def run(self, ids: Array, mask: Array) -> Array:
        """The output, FP32, for ids and mask [rows, length] int64."""
        import torch

        arrays = {IDS: ids, MASK: mask, TYPES: np.zeros_like(ids)}
        with torch.inference_mode():
            return np.asarray(self.wrapped()(*(torch.from_numpy(arrays[name]) for name in self.inputs)).numpy())


def _typed(module: Any, config: Any) -> bool:
    """Whether the network tells two texts apart by the types of their tokens."""
    return TYPES in inspect.signature(module.forward).parameters and getattr(config, "type_vocab_size", 0) > 1


def load(spec: ModelSpec, model: TextModel) -> Network:
    """Builds the network, with all of its weights. Raises `ModelFileError` that says what is missing or not known."""
    import torch
    import transformers

    folder = Path(spec.path)
    pickled = spec.format == "torch-pickle"
    if pickled and (not spec.trusted or digest_of(folder / _PICKLE) != spec.sha256):
        raise ModelFileError(f"{_PICKLE} is not the file that was trusted; look at it again, and trust it anew")
    try:
        module, found = getattr(transformers, CLASSES[model.task]).from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=not pickled, weights_only=True,
            attn_implementation="eager", dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    except (KeyError, ValueError, ImportError) as error:
        raise _unknown(model.architecture, transformers.__version__, error) from error
    except Exception as error:
        raise ModelFileError(_reason(error), detail=str(error)) from error
    _check_whole(found, model.task)
    if hasattr(module.config, "use_cache"):
        module.config.use_cache = False
    return Network(module.eval(), model.task)


def _check_whole(found: Mapping[str, Any], task: Task) -> None:
    """Raises `ModelFileError` for a network that is not whole."""
    missing = missing_parts(found, task)
    if missing:
        raise ModelFileError(
            f"the weights lack {len(missing)} parts of the network ({', '.join(missing[:3])}), so it is not trained "
            f"for {task}; take the model that was, or say what it is for: options: {{task: embedding}}"
        )


def _unknown(architecture: str, version: str, error: Exception) -> ModelFileError:
    return ModelFileError(
        f"transformers {version} has no network of the architecture {architecture!r} for this task; these are known to "
        f"work: {SUPPORTED}; or put an ONNX export of the model (model.onnx) into the folder",
        detail=str(error),
    )


def _reason(error: Exception) -> str:
    known = {
        "SafetensorError": "the safetensors file is truncated or damaged; get it again",
        "RuntimeError": "the weights do not have the shapes that config.json describes; get the whole folder again",
        "OSError": "a file is missing or cannot be read; get the whole folder again",
        "UnpicklingError": "the pickle holds more than weights, and nothing else of it is read; save it as safetensors",
    }
    names = [kind.__name__ for kind in type(error).__mro__]
    reason = next((known[name] for name in names if name in known), str(error).splitlines()[0][:200])
    return f"the folder's weights cannot be read: {reason}"
