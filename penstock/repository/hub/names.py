"""Names of models and files on the Hugging Face hub: hf:org/name[@revision][/file], hf:org/name[@revision][:Q4_K_M]."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from penstock.core.errors import ModelFileError

# As people know it from elsewhere: hf.co/org/name as Ollama writes it, and the address of a model's page.
_SCHEME = re.compile(r"hf:(?://)?|(?:https?://)?(?:hf\.co|(?:www\.)?huggingface\.co)/", re.IGNORECASE)
_QUANTIZATION = re.compile(r"(.*):([A-Za-z][A-Za-z0-9_-]{0,31})", re.DOTALL)
_PAGE = re.compile(r"/(?:blob|resolve|tree)/([^/]+)(?:/(.+?))?(?:\?.*)?", re.DOTALL)
_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,95})")
# Branches and tags hold no slash here, except the hub's own: refs/pr/3, refs/convert/onnx (or refs%2Fpr%2F3).
_REVISION = re.compile(r"(refs/[a-z]+/[^/]+|[^/]+)(?:/(.*))?", re.DOTALL)
_COMMON = "write hf:org/name, hf:org/name@revision, hf:org/name/file or hf:org/name:Q4_K_M"


class HubName(NamedTuple):
    """`repo`: "org/name". `revision`: a branch, tag or commit; None: the main branch. `file`: None: what it means.
    `quantization`: of the GGUF file that is meant."""

    repo: str
    revision: str | None = None
    file: str | None = None
    quantization: str | None = None


def is_hub(source: str) -> bool:
    """Whether a source is on the hub."""
    return _SCHEME.match(source) is not None


def parse(source: str) -> HubName:
    """A source on the hub. Raises `ModelFileError` that says how one is written."""
    text, quantization = _split(_SCHEME.sub("", source, count=1))
    org, _, rest = text.partition("/")
    name, mark, tail = re.match(r"([^@/]*)([@/]?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if not org or not name:
        raise ModelFileError(f"{source[:200]} names no repository with its owner; {_COMMON}")
    for part in (org, name):
        if _PART.fullmatch(part) is None or ".." in part or "--" in part or part.endswith((".git", ".", "-")):
            raise ModelFileError(f"{part[:100]!r} cannot be a name on the hub; {_COMMON}")
    page = _PAGE.fullmatch(f"/{tail}") if source.lower().startswith("http") else None
    if page is not None:
        return HubName(f"{org}/{name}", page.group(1), checked_file(page.group(2)), quantization)
    revision, file = _revision(tail) if mark == "@" else (None, tail if mark else None)
    if quantization is not None and file is not None:
        raise ModelFileError(f"{source[:200]} names a file and a quantization; one is enough")
    return HubName(f"{org}/{name}", revision, checked_file(file), quantization)


def _split(text: str) -> tuple[str, str | None]:
    """A quantization stands behind the last colon, where Ollama's tags do; "latest" is none."""
    match = _QUANTIZATION.fullmatch(text)
    if match is None:
        return text, None
    return match.group(1), None if match.group(2) == "latest" else match.group(2)


def _revision(tail: str) -> tuple[str, str | None]:
    found = _REVISION.fullmatch(tail)
    revision = unquote(found.group(1)) if found else ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}", revision) or ".." in revision or revision.endswith("/"):
        raise ModelFileError(f"{revision[:100]!r} cannot be a revision: name a branch, a tag or a commit; {_COMMON}")
    return revision, found.group(2) if found else None


def checked_file(file: str | None) -> str | None:
    """A file's name in a repository, as it is. Raises `ModelFileError` for what cannot be one."""
    if file is None:
        return None
    parts = file.split("/")
    if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\\x00-\x1f]", file) or len(file) > 500:
        raise ModelFileError(f"{file[:100]!r} cannot be a file on the hub; {_COMMON}")
    return file
