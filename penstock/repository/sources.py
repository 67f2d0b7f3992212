"""What a person names as a source, resolved to a description of one model version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.nearest import closest
from penstock.repository import library
from penstock.repository.formats import FORMATS
from penstock.repository.hub.fetching import of_hub
from penstock.repository.hub.names import HubName, is_hub, parse
from penstock.repository.manifest import MANIFEST, NAME, read_manifest
from penstock.repository.paths import of_path
from penstock.repository.python_objects import file_of, names_object, of_python, without_object
from penstock.repository.remote_names import RemoteName, is_remote, provider_hint
from penstock.repository.remote_names import known as of_provider
from penstock.repository.remote_names import parse as parse_remote
from penstock.repository.trust import Trusted, TrustStore

_ELSEWHERE = re.compile(r"(https?|s3|gs|ollama|mlflow|models):", re.IGNORECASE)


def resolve(
    source: str,
    *,
    name: str | None = None,
    version: str | None = None,
    trust: frozenset[str] = frozenset(),
    base: Path | None = None,
    runtime: str | None = None,
    output: str | None = None,
    batched: bool | None = None,
    device: str = "auto",
    threads: int = 1,
    example: list[Any] | None = None,
    options: dict[str, Any] | None = None,
    store: TrustStore | None = None,
) -> ModelSpec:
    """Describes the model at a source: a file, a model folder, a Hugging Face folder or a file in it,
    "hf:org/name[@revision][/file]" or "hf:org/name:Q4_K_M" (which is downloaded first), a pulled model's name,
    "module:attribute" or "file.py:attribute", a provider's model ("openai:gpt-5-mini", "http://host:8000/v1#model").

    `trust`: digests ("sha256:...") that may run code, besides those in the person's `store`. `base`:
    where relative paths start (default: the working folder). What is None comes from the files.
    The spec's runtime is empty when only the format decides it; its platform always is.
    Raises `ModelFileError` that says what is wrong with the source, `UntrustedFile` with the exact
    flag to pass, `ConfigError` for a name that cannot be one and for a text model's options.
    """
    base = Path.cwd() if base is None else base
    found = _find(source, base)
    known = _known(found, runtime, options or {}, Trusted(trust, store), base)
    known.setdefault("name", name or _name(found))
    given = {"name": name, "version": version, "output": output, "batched": batched, "example": example}
    known.update({key: value for key, value in given.items() if value is not None})
    known["name"] = checked_name(known["name"])
    known["version"] = checked_name(known.get("version", "1"), "version")
    return ModelSpec(device=device, threads=threads, **known)


def _known(
    found: Path | HubName | RemoteName | library.Entry | str,
    runtime: str | None,
    options: Mapping[str, Any],
    trust: Trusted,
    base: Path,
) -> dict[str, Any]:
    if isinstance(found, HubName):
        return of_hub(found, runtime, options, trust)
    if isinstance(found, RemoteName):
        return of_provider(found, options)
    if isinstance(found, library.Entry):
        return _pulled(found, runtime, options, trust)
    if isinstance(found, Path):
        return of_path(found, runtime, options, trust)
    known = of_python(found, runtime, base)
    return {**known, "options": {**known["options"], **options}}


def _pulled(entry: library.Entry, runtime: str | None, options: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    if not entry.complete:
        raise library.unpulled(entry.name)
    details = {"repo": entry.repo, "commit": entry.commit, "pulled": entry.modified}
    return {**of_path(Path(entry.path), runtime, options, trust), "details": details}


def name_of(source: str, base: Path | None = None) -> str:
    """The name that a source gives its model: the manifest's, the file's, the repository's or the object's.

    Raises `ModelFileError` when there is no such source; what is on the hub is not looked up.
    """
    found = _find(source, Path.cwd() if base is None else base)
    if isinstance(found, Path) and (found / MANIFEST).exists():
        return read_manifest(found).name
    return _name(found)


def _name(found: Path | HubName | RemoteName | library.Entry | str) -> str:
    if isinstance(found, library.Entry):
        return found.name
    if isinstance(found, HubName):
        return default_name(re.sub(r"(?i)[-_.]gguf$", "", found.repo.rpartition("/")[2]))
    if isinstance(found, RemoteName):
        return as_name(found.model.rpartition("/")[2])
    return default_name(found if isinstance(found, str) else found.name)


def default_name(source: str) -> str:
    """A name from a source: a file's without its ending, a folder's, or an attribute's; odd characters become "-".

    Raises `ConfigError` when nothing of it can be a name.
    """
    stem = re.split(r"[.:]", source)[-1] if names_object(source) else _stem(Path(source))
    return as_name(stem)


def as_name(text: str) -> str:
    """A text as a model's name; odd characters become "-". Raises `ConfigError` when nothing of it can be one."""
    return checked_name(re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:128])


def _stem(path: Path) -> str:
    known = {extension for format in FORMATS.values() for extension in format.extensions}
    return path.stem if path.suffix.lower() in known else path.absolute().name


def checked_name(name: str, what: str = "name") -> str:
    """A model's or version's name, as it is. Raises `ConfigError` for what cannot be one."""
    if NAME.fullmatch(name) is None:
        raise ConfigError(
            f"the {what} {name[:80]!r} cannot be used: at most 128 letters, digits, '.', '_' and '-', no sign first"
        )
    return name


def _find(source: str, base: Path) -> Path | HubName | RemoteName | library.Entry | str:
    """The path that the source names, its name on the hub, the pulled model of that name, its name at a provider, or
    the source itself when it names a Python object."""
    if "\0" in source:
        raise ModelFileError("a source cannot hold NUL characters")
    if is_hub(source):
        return parse(source)
    path = base / Path(source).expanduser()
    if path.is_file() and path.suffix == ".py":
        raise without_object(source, path)
    if path.exists():
        return path
    if (pulled := library.find(source)) is not None:
        return pulled
    if is_remote(source):
        return parse_remote(source)
    if _ELSEWHERE.match(source):
        api = "; for a server that speaks OpenAI's API write http://host:8000/v1#MODEL" if source[:4] == "http" else ""
        raise ModelFileError(f"{source} is not on this machine; download it first and name the file{api}")
    if names_object(source):
        _check_there(file_of(source, base), source)
        return source
    raise ModelFileError(f"there is no {source}{provider_hint(source) or _nearest(path)}{_hub_hint(source)}")


def _check_there(path: Path | None, source: str) -> None:
    if path is not None and not path.is_file():
        raise ModelFileError(f"there is no {source.rpartition(':')[0]}{_nearest(path)}")


def _hub_hint(source: str) -> str:
    """For a model's name on the hub without hf: before it."""
    looks = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+(:\w+)?", source) is not None
    return f" (on the hub it would be hf:{source})" if looks else ""


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return "; its folder does not exist"
    near = closest(path.name, names, 0.5)
    return f"; did you mean {near}?" if near else ""
