"""Pulled models: downloaded once from the hub, and known by a short name from then on."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ConfigError, ModelFileError, SetupError
from penstock.core.nearest import closest
from penstock.repository import cache, hub_files
from penstock.repository.hub import fetching
from penstock.repository.hub.messages import Fetched, Progress
from penstock.repository.hub.names import HubName, is_hub, parse
from penstock.repository.locks import locked
from penstock.repository.manifest import NAME
from penstock.repository.saving import now
from penstock.repository.trust import Trusted

Say = Callable[[Progress], None]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One pulled model.

    `source`: as it would be pulled again. `path`: what is served. `size`: bytes of all its `files` (absolute).
    `digest`: "sha256:..." of its one model file, or over all of them. `family`: the architecture. `modified`: when it
    was pulled.
    """

    name: str
    source: str
    path: str
    size: int
    digest: str
    modified: str
    repo: str = ""
    commit: str = ""
    format: str = ""
    runtime: str = ""
    family: str = ""
    parameters: int = 0
    quantization: str = ""
    files: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all its files are still on the disk."""
        return all(Path(file).is_file() for file in self.files)


class _Index(msgspec.Struct):
    models: dict[str, Entry] = {}


def entries() -> list[Entry]:
    """All pulled models, by name. Raises `SetupError` when the index is damaged."""
    return sorted(_read().models.values(), key=lambda entry: entry.name.lower())


def find(name: str) -> Entry | None:
    """The pulled model of that name (":latest" after it means nothing), or None."""
    return _read().models.get(name.removesuffix(":latest"))


def pull(source: str, name: str | None = None, say: Say | None = None) -> Entry:
    """Downloads a model of the hub, or what is missing of it, and notes it under a name; the source may be the name of
    one that was pulled before. `say` is told how far the download is.

    Raises `SetupError` that says what to do: for a name that cannot be one or is another model's, and as a source on
    the hub does when it is resolved; `HubUnreachable` when the hub is away for now. What was downloaded is kept then,
    and the next call goes on.
    """
    known = find(source)
    if known is not None:
        source, name = known.source, name or known.name
    if name is not None and NAME.fullmatch(name) is None:
        raise ConfigError(
            f"the name {name[:80]!r} cannot be used: letters, digits, '.', '_' and '-', first a letter or digit"
        )
    place = _place(source)
    fetched = fetching.fetch(fetching.request_for(place, None, {}), say)
    entry = _entry(place, fetched, fetching.described(fetched, None, {}, Trusted(())))
    with _changing() as index:
        entry = msgspec.structs.replace(entry, name=_free(index, entry, name))
        replaced = index.models.get(entry.name)
        index.models[entry.name] = entry
    if replaced is not None:
        _delete_unused(replaced)
    return entry


def remove(name: str) -> Entry:
    """Forgets a pulled model, and deletes its files that no other pulled model has.

    Raises `ConfigError` when there is none of that name, with the nearest one.
    """
    with _changing() as index:
        entry = index.models.pop(name.removesuffix(":latest"), None)
        if entry is None:
            raise ConfigError(f"no model {name[:80]!r} was pulled{_nearest(name, index)}")
    _delete_unused(entry)
    return entry


def _delete_unused(entry: Entry) -> None:
    """Deletes the files of a model that was taken out of the index, except those that another has."""
    with _changing() as index:
        used = {file for other in index.models.values() for file in other.files}
        hub_files.delete([Path(file) for file in entry.files if file not in used])


def unpulled(name: str) -> ModelFileError:
    """The error for a pulled model whose files are gone."""
    return ModelFileError(f"the files of {name} are gone from the hub's cache; get them again: penstock pull {name}")


def _place(source: str) -> HubName:
    if is_hub(source):
        return parse(source)
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w-]+)?", source):
        raise ConfigError(f"{source} is pulled from the hub as hf:{source}")
    raise ConfigError(
        f"{source[:200]} was not pulled, and is nothing on the hub; models are named as hf:org/name or, for one of "
        "several GGUF files, hf:org/name:Q4_K_M"
    )


def _entry(place: HubName, fetched: Fetched, known: dict[str, Any]) -> Entry:
    folder = Path(fetched.folder)
    files = [folder / file for file in fetched.files]
    options = known.get("options", {})
    language = known.get("runtime") == "llm"
    return Entry(
        name="",
        source=written(place),
        path=str(folder / ((place.file or "") if fetched.text else fetched.file)),
        size=sum(file.stat().st_size for file in files),
        digest=hub_files.digest(folder, files),
        modified=now(),
        repo=place.repo,
        commit=fetched.commit,
        format=str(known.get("format", "")),
        runtime=str(known.get("runtime", "")),
        family=str(options.get("architecture", "")),
        parameters=int(options.get("parameters", 0)) if language else 0,
        quantization=str(options.get("quantization", "")) if language else str(known.get("precision", "")),
        files=tuple(str(file) for file in files),
    )


def written(place: HubName) -> str:
    """A place on the hub, as a person would write it."""
    revision = f"@{place.revision}" if place.revision else ""
    file = f"/{place.file}" if place.file else ""
    return f"hf:{place.repo}{revision}{file}{f':{place.quantization}' if place.quantization else ''}"


def _free(index: _Index, entry: Entry, wanted: str | None) -> str:
    """The name to keep a model under. Raises `ConfigError` for a wish that is another model's name."""
    plain = re.sub(r"(?i)[-_.]gguf$", "", entry.repo.rpartition("/")[2])
    special = f"{plain}-{re.sub(r'[^A-Za-z0-9._-]+', '-', entry.quantization)}".rstrip("-")
    for name in (
        (wanted,) if wanted else (plain, special, entry.repo.replace("/", "-"), f"{special}-{entry.commit[:8]}")
    ):
        holder = index.models.get(name)
        if holder is None or holder.source == entry.source or holder.path == entry.path:
            return name
    raise ConfigError(f"the name {wanted or plain} is {index.models[wanted or plain].source} already; choose another")


def _nearest(name: str, index: _Index) -> str:
    near = closest(name, index.models)
    return f"; did you mean {near}?" if near else "; penstock ls lists those that were"


# --- the index


def _path() -> Path:
    return cache.root() / "library.json"


@contextlib.contextmanager
def _changing() -> Iterator[_Index]:
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock")):
            index = _read()
            yield index
            _write(path, index)
    except OSError as error:
        raise SetupError(
            f"the list of pulled models cannot be written ({error.strerror}); set PENSTOCK_CACHE to a folder of your "
            "own"
        ) from error


def _read() -> _Index:
    try:
        return msgspec.json.decode(_path().read_bytes(), type=_Index)
    except FileNotFoundError:
        return _Index()
    except OSError as error:
        raise SetupError(f"the list of pulled models cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SetupError(
            f"the list of pulled models is damaged ({error}); remove library.json from Penstock's cache, and pull again"
        ) from error


def _write(path: Path, index: _Index) -> None:
    data = msgspec.json.format(msgspec.json.encode(index), indent=2)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".library-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
