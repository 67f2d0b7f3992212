"""One file from the hub into its cache: continued where it stopped, and never there unless its digest is right.

huggingface_hub continues a download within one call; since version 1 it begins anew after its process ended. Large
files therefore come through its `http_get` into a partial file beside the cache's blobs, which the next call finds.
"""

from __future__ import annotations

import hashlib
import importlib
import shutil
from glob import escape
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.repository.hub.listing import Entry, Listing
from penstock.repository.trust import digest_of

CHUNK = 2**20


def cached(listing: Listing, entry: Entry) -> bool:
    """Whether a file is in the cache, whole; one of another size is taken out of it."""
    pointer = listing.snapshot / entry.name
    for path in (pointer, *_blobs(listing, entry)):
        if path.is_file():
            if path.stat().st_size == entry.size:
                return True
            forget(listing, entry)
            return False
    return False


def missing_bytes(listing: Listing, entry: Entry) -> int:
    """How much of a file is still to come."""
    if cached(listing, entry):
        return 0
    partial = _partial(listing, entry)
    return entry.size - (min(partial.stat().st_size, entry.size) if partial and partial.is_file() else 0)


def fetch_large(listing: Listing, entry: Entry) -> None:
    """Puts a large file's blob into the cache. Raises `ModelFileError` when its digest is wrong (it is deleted then),
    and whatever the network does; what came is kept for the next call."""
    utils: Any = importlib.import_module("huggingface_hub.utils")
    partial = _partial(listing, entry)
    if partial is None or cached(listing, entry):
        return
    lock = listing.folder.parent / ".locks" / listing.folder.name / f"{entry.sha256}.lock"
    for folder in (lock.parent, partial.parent):
        folder.mkdir(parents=True, exist_ok=True)
    # The very lock that the library takes for this blob.
    with utils.WeakFileLock(lock):
        if cached(listing, entry):
            return
        _continue(listing, entry, partial)
        if digest_of(partial) != entry.sha256:
            partial.unlink()
            raise _wrong(entry)
        partial.rename(partial.parent / str(entry.sha256))


def _continue(listing: Listing, entry: Entry, partial: Path) -> None:
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get

    utils: Any = importlib.import_module("huggingface_hub.utils")
    # What the library reads at once is what a connection that breaks loses: 10 MB, unless told.
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    with partial.open("ab") as file:
        if file.tell() > entry.size:
            file.truncate(0)
        # Compressed, a file could not be continued.
        headers = {**utils.build_hf_headers(library_name="penstock"), "Accept-Encoding": "identity"}
        http_get(
            hf_hub_url(listing.repo, entry.name, revision=listing.commit),
            file,
            resume_size=file.tell(),
            headers=headers,
            expected_size=entry.size,
            displayed_filename=entry.name,
        )


def check(listing: Listing, entry: Entry) -> None:
    """Raises `ModelFileError` unless a file in the snapshot is the one that the hub lists; it is deleted then."""
    path = listing.snapshot / entry.name
    if path.resolve().name == entry.sha256:
        return  # a blob that `fetch_large` has put there
    if entry.sha256 is None:
        data = path.read_bytes()
        right = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == entry.blob
    else:
        right = digest_of(path) == entry.sha256
    if not right:
        forget(listing, entry)
        raise _wrong(entry)


def detach(listing: Listing, name: str) -> None:
    """Puts a file itself where the snapshot has a link to it: engines read external data in the model's folder alone.

    The cache is the same without symbolic links, on systems that have none.
    """
    pointer = listing.snapshot / name
    if not pointer.is_symlink():
        return
    blob = pointer.resolve()
    others = [path for path in listing.folder.glob(f"snapshots/*/{escape(name)}") if path != pointer]
    if blob.parent == (listing.folder / "blobs").resolve() and all(path.resolve() != blob for path in others):
        blob.replace(pointer)
        return
    copy = pointer.with_name(f".{pointer.name}.penstock")
    shutil.copyfile(blob, copy)
    copy.replace(pointer)


def forget(listing: Listing, entry: Entry) -> None:
    """Takes a file out of the cache, so that the next call downloads it."""
    for path in (listing.snapshot / entry.name, *_blobs(listing, entry)):
        path.unlink(missing_ok=True)


def _blobs(listing: Listing, entry: Entry) -> list[Path]:
    return [listing.folder / "blobs" / name for name in (entry.sha256 or entry.blob,) if name]


def _partial(listing: Listing, entry: Entry) -> Path | None:
    return listing.folder / "blobs" / f"{entry.sha256}.penstock.incomplete" if entry.sha256 else None


def _wrong(entry: Entry) -> ModelFileError:
    return ModelFileError(
        f"{entry.name} came with another digest than the hub lists, and was deleted; try again, and if it happens "
        "twice, ask who runs the network or the mirror (HF_ENDPOINT)"
    )
