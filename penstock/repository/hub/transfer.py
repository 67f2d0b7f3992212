"""Files of a repository from the hub into its cache: room on the disk first, digests after."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from glob import escape
from pathlib import Path

from penstock.core.errors import ModelFileError, SetupError
from penstock.repository.hub import blobs, outline, progress
from penstock.repository.hub.listing import Entry, Listing

MARGIN = 64 * 2**20
"""Bytes that the disk keeps free beyond what is downloaded."""


def download(listing: Listing, names: Iterable[str]) -> None:
    """Makes files of the snapshot be there, whole and with the digests that the hub lists.

    Raises `ModelFileError` for a wrong digest and for what is missing while the hub is away, `SetupError` when the
    disk has no room, and whatever huggingface_hub does.
    """
    if listing.entries is None:
        _check_there(listing, names)
        return
    if listing.outline is not None:
        outline.fetch(listing, names)
        return
    entries = [listing.entries[name] for name in names if name in listing.entries]
    new = [entry for entry in entries if not blobs.cached(listing, entry)]
    _check_room(listing, new)
    for entry in new:
        progress.watch(listing, entry, new)
        blobs.fetch_large(listing, entry)
    progress.watch_no_more()
    if any(not (listing.snapshot / entry.name).is_file() for entry in entries) or not _noted(listing):
        _place(listing, entries)
    for entry in new:
        blobs.check(listing, entry)


def _check_there(listing: Listing, names: Iterable[str]) -> None:
    for name in names:
        if not (listing.snapshot / name).is_file():
            raise ModelFileError(f"{listing.repo} is only partly in the cache: {name} is missing; download it once")


def _check_room(listing: Listing, entries: Iterable[Entry]) -> None:
    needed = sum(blobs.missing_bytes(listing, entry) for entry in entries)
    place = next(path for path in (listing.folder, *listing.folder.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if needed and needed + MARGIN > free:
        raise SetupError(
            f"{listing.repo} needs {needed / 1e6:,.1f} MB, and the disk of the hub's cache has {free / 1e6:,.1f} MB "
            "free; free some space, or set HF_HOME to a folder on another disk"
        )


def _noted(listing: Listing) -> bool:
    """Whether the cache knows which commit the revision is, for when the hub is away."""
    revision = listing.revision or "main"
    reference = listing.folder / "refs" / revision
    return revision == listing.commit or (reference.is_file() and reference.read_text().strip() == listing.commit)


def _place(listing: Listing, entries: Iterable[Entry]) -> None:
    """Small files are downloaded, all files get their names in the snapshot, and the revision its commit."""
    from huggingface_hub import snapshot_download

    names = [escape(entry.name) for entry in entries]
    placed = snapshot_download(listing.repo, revision=listing.revision, allow_patterns=names, library_name="penstock")
    if Path(placed).name != listing.commit:
        raise ModelFileError(f"{listing.repo} changed on the hub while it was downloaded; try again")
