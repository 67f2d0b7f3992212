"""LoRA adapters that llama.cpp applies: GGUF files, or PEFT's folders translated to them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.runtimes.generation.engines import llamacpp_library, llamacpp_peft
from penstock.runtimes.generation.engines.llamacpp_network import Network


def load(network: Network, adapters: dict[str, str]) -> dict[str, Any]:
    """The adapters by name, ready to be set. Raises `ModelFileError` naming the one that cannot be loaded."""
    return {name: _load(network, name, Path(path)) for name, path in adapters.items()}


def _load(network: Network, name: str, path: Path) -> Any:
    if not path.exists():
        raise ModelFileError(f"the adapter {name!r} is missing")
    if _is_gguf(path):
        return _read(network, name, path)
    with TemporaryDirectory(prefix="penstock-") as folder:
        file = Path(folder) / "adapter.gguf"
        try:
            llamacpp_peft.write(path, file, _base(network))
        except ModelFileError as error:
            raise ModelFileError(f"the adapter {name!r}: {error}", detail=error.detail) from error
        return _read(network, name, file)


def _is_gguf(path: Path) -> bool:
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"


def _read(network: Network, name: str, file: Path) -> Any:
    llamacpp_library.forget()
    adapter = network.library.llama_adapter_lora_init(network.model, str(file).encode())
    if not adapter:
        why = llamacpp_library.reason() or "it may belong to another model"
        raise ModelFileError(f"llama.cpp cannot load the adapter {name!r}: {why}", detail=llamacpp_library.said())
    return adapter


def _base(network: Network) -> llamacpp_peft.Base:
    library, model = network.library, network.model
    buffer = ctypes.create_string_buffer(128)
    library.llama_model_meta_val_str(model, b"general.architecture", buffer, len(buffer))
    heads, kv_heads = library.llama_model_n_head(model), library.llama_model_n_head_kv(model)
    return llamacpp_peft.Base(buffer.value.decode(), heads, kv_heads)
