"""What to download of a repository: what describes the model, and of its weights only what is served."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.repository.digests import DESCRIPTION
from penstock.repository.formats import FORMATS
from penstock.repository.hub import languages
from penstock.repository.hub.blobs import detach
from penstock.repository.hub.listing import Listing, listed
from penstock.repository.hub.messages import Fetched, Request
from penstock.repository.hub.refusals import refusal
from penstock.repository.hub.transfer import download
from penstock.repository.huggingface import describe, home_of
from penstock.repository.safetensors import INDEX, SINGLE, shards
from penstock.repository.text_folders import check_convertible
from penstock.repository.weights import Weights, beside, check_served, choose

# sentence-transformers' modules have folders of their own: 1_Pooling/config.json, 0_Transformer/tokenizer.json.
_DESCRIBES = re.compile(
    rf"(?:\d+_\w+/)?(?:{'|'.join(map(re.escape, (*DESCRIPTION, 'adapter_config.json')))}|sentence_[\w-]+_config\.json)"
)
_SERVED = tuple(extension for format in FORMATS.values() for extension in format.extensions if extension != ".json")


def obtain(request: Request) -> Fetched:
    """Downloads what is served of a repository. Raises `ModelFileError` and `SetupError` that say what to do."""
    _show_progress(wanted=request.outline is None)
    listing = listed(request)
    try:
        return _obtain(request, listing)
    except Exception as error:
        raise refusal(error, request.repo, request.revision) from error


def _show_progress(wanted: bool) -> None:
    """One bar for each large file, when somebody watches; unless HF_HUB_DISABLE_PROGRESS_BARS says otherwise."""
    from huggingface_hub import constants

    utils: Any = importlib.import_module("huggingface_hub.utils")
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None:
        utils.disable_progress_bars()
        if wanted and sys.stderr.isatty():
            utils.enable_progress_bars("huggingface_hub.http_get")


def _obtain(request: Request, listing: Listing) -> Fetched:
    names = listing.names()
    if request.file is not None and request.file not in names:
        raise ModelFileError(f"{request.repo} has no file {request.file}{_known(names)}")
    if request.language and (found := languages.obtain(request, listing, names)) is not None:
        return found
    if request.text and (request.file is None or _is_text(names, request.file)):
        return _text(request, listing, names)
    file = choose(names).file if request.file is None else request.file
    check_served(file)
    files = [file, *beside(names, file)]
    _download_weights(listing, files)
    return Fetched(str(listing.snapshot), file, listing.commit, text=False, files=files)


def _download_weights(listing: Listing, names: Sequence[str]) -> None:
    download(listing, names)
    for name in names[1:] if names[0].endswith(".onnx") else ():
        detach(listing, name)


def _known(names: Collection[str]) -> str:
    known = [name for name in names if name.endswith(_SERVED)]
    return f"; it has {', '.join(known[:8])}" if known else ""


def _is_text(names: Collection[str], file: str) -> bool:
    """Whether a file that a person named is a text model's, as `text_folders.folder_of` decides for a folder."""
    chosen = file in (SINGLE, INDEX) or (file.endswith((".onnx", ".xml")) and file.count("/") < 2)
    return chosen and {"config.json", "tokenizer.json"} <= set(names)


def _text(request: Request, listing: Listing, names: Collection[str]) -> Fetched:
    if "config.json" not in names and "modules.json" not in names:
        raise ModelFileError(f"{request.repo} has no config.json; name a file of it (hf:org/name/file){_known(names)}")
    description = [name for name in names if _DESCRIBES.fullmatch(name)]
    download(listing, description)
    # Refused before anything large is downloaded.
    describe(listing.snapshot, request.options)
    home = home_of(listing.snapshot)
    inner = _inside(names, home.relative_to(listing.snapshot))
    chosen = choose(inner, request.file)
    _check(chosen, home, request.repo)
    weights = _weights(listing, home, chosen, inner)
    files = [(home / file).relative_to(listing.snapshot).as_posix() for file in weights]
    _download_weights(listing, files)
    return Fetched(str(listing.snapshot), chosen.file, listing.commit, text=True, files=[*description, *files])


def _inside(names: Collection[str], folder: Path) -> list[str]:
    prefix = "" if folder == Path() else f"{folder.as_posix()}/"
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _check(chosen: Weights, home: Path, repo: str) -> None:
    if chosen.format == "torch-pickle":
        raise ModelFileError(
            f"{repo} has its weights only as a pickle ({chosen.file}), which can run code when it is loaded, and is "
            "not downloaded. Look for a revision with safetensors (the hub proposes some, as @refs/pr/1), or save it "
            "as safetensors yourself and serve that folder"
        )
    if chosen.format == "safetensors":
        check_convertible(home)


def _weights(listing: Listing, home: Path, chosen: Weights, names: Collection[str]) -> list[str]:
    if chosen.file != INDEX:
        return [chosen.file, *beside(names, chosen.file)]
    download(listing, [(home / INDEX).relative_to(listing.snapshot).as_posix()])
    return shards(home, INDEX)
