"""What a repository on the hub holds at one commit, as the hub says, or as the cache on this machine does."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from penstock.core.errors import ModelFileError
from penstock.repository.hub.messages import Request
from penstock.repository.hub.names import checked_file
from penstock.repository.hub.refusals import refusal, unreachable

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Entry(NamedTuple):
    """A file on the hub. `sha256`: of a large one; `blob`: the git object of any other (sha1 of a header and bytes)."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


class Listing(NamedTuple):
    """`folder`: the repository's in the cache. `entries`: what the hub has; None: it cannot be asked, and only what
    lies in the `snapshot` is there. `outline`: a folder for outlines of the files (`outline.py`), not downloads."""

    repo: str
    revision: str | None
    commit: str
    folder: Path
    entries: dict[str, Entry] | None
    outline: Path | None = None

    @property
    def snapshot(self) -> Path:
        """Where the files of this commit are, by name."""
        return self.outline or self.folder / "snapshots" / self.commit

    def names(self) -> list[str]:
        """All files' names, in order."""
        if self.entries is not None:
            return sorted(self.entries)
        files = (path for path in self.snapshot.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.snapshot).as_posix() for path in files)


def listed(request: Request) -> Listing:
    """What the hub has, else what the cache has when the hub is away (which is said on standard error).

    Raises `ModelFileError` that says what to do when there is neither.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE).expanduser() / repo_folder_name(repo_id=request.repo, repo_type="model")
    try:
        timeout = float(constants.HF_HUB_ETAG_TIMEOUT)
        info = HfApi().model_info(request.repo, revision=request.revision, files_metadata=True, timeout=timeout)
        return _of_answer(info, request, folder)
    except Exception as error:
        commit = _cached(folder, request.revision) if unreachable(error) else None
        if commit is None:
            raise refusal(error, request.repo, request.revision) from error
        if not constants.HF_HUB_OFFLINE:
            print(f"the hub cannot be reached; {request.repo} comes from the cache, {commit[:8]}", file=sys.stderr)
        return Listing(request.repo, request.revision, commit, folder, None)


def _of_answer(info: Any, request: Request, folder: Path) -> Listing:
    if not isinstance(info.sha, str) or _COMMIT.fullmatch(info.sha) is None:
        raise ValueError("no commit")
    entries = [entry for sibling in info.siblings or () if (entry := _entry(sibling)) is not None]
    outline = Path(request.outline) if request.outline else None
    return Listing(request.repo, request.revision, info.sha, folder, {entry.name: entry for entry in entries}, outline)


def _entry(sibling: Any) -> Entry | None:
    """A file of the hub's answer, or None when its name could not be one."""
    try:
        name = str(checked_file(sibling.rfilename))
    except ModelFileError:
        return None
    sha256 = None if sibling.lfs is None else sibling.lfs.sha256
    blob = sibling.blob_id
    if not isinstance(sibling.size, int) or (_SHA256 if sha256 else _COMMIT).fullmatch(str(sha256 or blob)) is None:
        raise ValueError(f"no digest for {name}")
    return Entry(name, sibling.size, sha256, blob)


def _cached(folder: Path, revision: str | None) -> str | None:
    """The commit that a revision had when it was downloaded last, if its snapshot is there."""
    revision = revision or "main"
    reference = folder / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    return commit if _COMMIT.fullmatch(commit) and (folder / "snapshots" / commit).is_dir() else None
