"""LoRA adapters that llama.cpp applies: GGUF files, or PEFT's folders translated to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.runtimes.generation.engines import llamacpp_library
from penstock.runtimes.generation.engines.llamacpp_network import Network


def load(network: Network, adapters: dict[str, str]) -> dict[str, Any]:
    """The adapters by name, ready to be set. Raises `ModelFileError` naming the one that cannot be loaded."""
    return {name: _load(network, name, Path(path)) for name, path in adapters.items()}


def _load(network: Network, name: str, path: Path) -> Any:
    file = _gguf(name, path)
    llamacpp_library.forget()
    adapter = network.library.llama_adapter_lora_init(network.model, str(file).encode())
    if not adapter:
        why = llamacpp_library.reason() or "it may belong to another model"
        raise ModelFileError(f"llama.cpp cannot load the adapter {name!r}: {why}", detail=llamacpp_library.said())
    return adapter


def _gguf(name: str, path: Path) -> Path:
    if not path.exists():
        raise ModelFileError(f"the adapter {name!r} is missing")
    if path.is_file() and path.open("rb").read(4) == b"GGUF":
        return path
    raise ModelFileError(
        f"llama.cpp reads adapters as GGUF files; {name!r} is none (convert_lora_to_gguf.py makes one)"
    )
