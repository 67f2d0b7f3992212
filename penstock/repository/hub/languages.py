"""What to download of a language model: a GGUF file in all its parts, or a folder with its weights."""

from __future__ import annotations

from collections.abc import Collection

from penstock.core.errors import ModelFileError
from penstock.repository import gguf_names, language_folders
from penstock.repository.hub.listing import Listing
from penstock.repository.hub.messages import Fetched, Request
from penstock.repository.hub.transfer import download
from penstock.repository.language_config import CONFIG, GENERATION, read_network
from penstock.repository.language_tokens import SETTINGS, TEMPLATE, TEMPLATE_JSON, read_tokens
from penstock.repository.safetensors import INDEX, shards
from penstock.repository.sentences import MODULES
from penstock.repository.vocabulary import TOKENIZER

_DESCRIPTION = (
    CONFIG, GENERATION, TOKENIZER, SETTINGS, TEMPLATE, TEMPLATE_JSON, "special_tokens_map.json", "README.md",
)  # fmt: skip
_IR = tuple(f"openvino_{part}.{end}" for part in ("model", "tokenizer", "detokenizer") for end in ("xml", "bin"))
_WEIGHTS = (".safetensors", ".onnx", ".xml", "pytorch_model.bin")


def obtain(request: Request, listing: Listing, names: Collection[str]) -> Fetched | None:
    """Downloads a repository's language model; None when it has none, or another kind of model was named."""
    if request.quantization is not None or (request.file or "").endswith(".gguf") or _only_gguf(request, names):
        return _gguf(request, listing)
    if request.file is not None or CONFIG not in names or MODULES in names or "task" in request.options:
        return None
    download(listing, [CONFIG])
    if not language_folders.is_writer(listing.snapshot):
        return None
    return _folder(listing, names)


def _only_gguf(request: Request, names: Collection[str]) -> bool:
    if request.file is not None or any(name.endswith(_WEIGHTS) for name in names):
        return False
    return any(name.endswith(".gguf") for name in names)


def _gguf(request: Request, listing: Listing) -> Fetched:
    sizes = _sizes(listing)
    try:
        if request.file is not None:
            picked = gguf_names.with_parts(request.file, sizes)
        else:
            picked = gguf_names.pick(sizes, request.quantization)
    except ModelFileError as error:
        raise ModelFileError(f"{request.repo}: {error.message}") from error
    files = [picked.file, *picked.others]
    download(listing, files)
    reason = f"{picked.reason}; another is named as hf:{request.repo}:Q8_0" if picked.reason else ""
    return Fetched(str(listing.snapshot), picked.file, listing.commit, text=False, reason=reason, files=files)


def _sizes(listing: Listing) -> dict[str, int]:
    if listing.entries is not None:
        return {name: entry.size for name, entry in listing.entries.items()}
    return {name: (listing.snapshot / name).stat().st_size for name in listing.names()}


def _folder(listing: Listing, names: Collection[str]) -> Fetched:
    format = language_folders.format_of(names)
    # Refused before anything large is downloaded.
    network = read_network(listing.snapshot, format == language_folders.IR)
    wanted = (*_DESCRIPTION, *(_IR if format == language_folders.IR else ()), "openvino_config.json")
    files = [name for name in names if name in wanted]
    download(listing, [name for name in files if name not in _IR])
    read_tokens(listing.snapshot, network, format == language_folders.FOLDER)
    if format == language_folders.FOLDER:
        weights = language_folders.weights_name(names)
        if weights == INDEX:
            download(listing, [INDEX])
        parts = shards(listing.snapshot, weights)
        download(listing, parts)
        files += parts if weights != INDEX else [INDEX, *parts]
    else:
        download(listing, files)
    return Fetched(str(listing.snapshot), "", listing.commit, text=False, files=files)
