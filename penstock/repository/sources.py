"""What a person names as a source, resolved to a description of one model version."""

from __future__ import annotations

import ast
import difflib
import re
from pathlib import Path
from typing import Any

from penstock.core.errors import ConfigError, ModelFileError, UntrustedFile
from penstock.core.model import ModelSpec
from penstock.repository.formats import FORMATS, SYNONYMS, Format, identify
from penstock.repository.manifest import MANIFEST, NAME, Manifest, model_file, read_manifest
from penstock.repository.trust import TrustStore, digest_of, parse_digests

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PYTHON_FILE = re.compile(r"(.+\.py):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
_ELSEWHERE = re.compile(r"(https?|s3|gs|hf|openai|anthropic|ollama|azure|mlflow|models):", re.IGNORECASE)


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
    """Describes the model at a source: a file, a model folder, "module:attribute" or "file.py:attribute".

    `trust`: digests ("sha256:...") that may run code, besides those in the person's `store`. `base`:
    where relative paths start (default: the working folder). What is None comes from the manifest.
    The spec's runtime is empty when only the format decides it; its platform always is.
    Raises `ModelFileError` that says what is wrong with the source, `UntrustedFile` with the exact
    flag to pass, `ConfigError` for a name that cannot be one.
    """
    base = Path.cwd() if base is None else base
    found = _find(source, base)
    trusted = _Trust(parse_digests(trust), store)
    if isinstance(found, str):
        known = _of_python(found, runtime, base)
    elif found.is_dir():
        known = _of_folder(found, runtime, trusted)
    else:
        known = _of_file(found, runtime, trusted)
    given = {"name": name, "version": version, "output": output, "batched": batched, "example": example}
    known.update({key: value for key, value in given.items() if value is not None})
    known["name"] = checked_name(known["name"])
    known["version"] = checked_name(known.get("version", "1"), "version")
    known["options"] = {**known.get("options", {}), **(options or {})}
    return ModelSpec(device=device, threads=threads, **known)


def name_of(source: str, base: Path | None = None) -> str:
    """The name that a source gives its model: the manifest's, the file's or the object's.

    Raises `ModelFileError` when there is no such source.
    """
    found = _find(source, Path.cwd() if base is None else base)
    if isinstance(found, Path) and (found / MANIFEST).exists():
        return read_manifest(found).name
    return default_name(found if isinstance(found, str) else found.name)


class _Trust:
    """Given digests first; the person's store is read only if they do not suffice."""

    def __init__(self, given: frozenset[str], store: TrustStore | None):
        self._given = given
        self._store = store or TrustStore()

    def __contains__(self, digest: str) -> bool:
        return digest in self._given or digest in self._store.digests()


def default_name(source: str) -> str:
    """A name from a source: a file's without its ending, a folder's, or an attribute's; odd characters become "-".

    Raises `ConfigError` when nothing of it can be a name.
    """
    python = _PYTHON_FILE.fullmatch(source) or _MODULE.fullmatch(source)
    stem = re.split(r"[.:]", source)[-1] if python else _stem(Path(source))
    return checked_name(re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:128])


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


def _find(source: str, base: Path) -> Path | str:
    """The path that the source names, or the source itself when it names a Python object."""
    if "\0" in source:
        raise ModelFileError("a source cannot hold NUL characters")
    path = base / Path(source).expanduser()
    if path.is_file() and path.suffix == ".py":
        raise ModelFileError(f"{source} is Python code; name the object in it{_suggestion(source, path)}")
    if path.exists():
        return path
    if _PYTHON_FILE.fullmatch(source) or (_MODULE.fullmatch(source) and not _ELSEWHERE.match(source)):
        return source
    if _ELSEWHERE.match(source):
        raise ModelFileError(f"{source} is not on this machine; download it first and name the file")
    raise ModelFileError(f"there is no {source}{_nearest(path)}")


def _nearest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return "; its folder does not exist"
    near = difflib.get_close_matches(path.name, names, 1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _suggestion(source: str, path: Path) -> str:
    try:
        nodes = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, OSError):
        return f", as {source}:predict"
    names = [n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    return ": " + " or ".join(f"{source}:{name}" for name in names[:5]) if names else f", as {source}:predict"


def _of_python(source: str, runtime: str | None, base: Path) -> dict[str, Any]:
    """No digest here: it is the person's own code, named by hand."""
    options = {"import_from": str(base.absolute())}
    in_file = _PYTHON_FILE.fullmatch(source)
    if in_file is not None:
        path = base / Path(in_file.group(1)).expanduser()
        if not path.is_file():
            raise ModelFileError(f"there is no {in_file.group(1)}{_nearest(path)}")
        source = f"{path.absolute()}:{in_file.group(2)}"
    name = default_name(source)
    return {"name": name, "path": source, "format": "python", "runtime": runtime or "callable", "options": options}


def _of_file(path: Path, runtime: str | None, trust: _Trust) -> dict[str, Any]:
    format = identify(path)
    known = {
        "name": default_name(path.name),
        "path": str(path.absolute()),
        "format": format.name,
        "runtime": runtime or "",
    }
    # Data-only formats need no digest, and large ones would take long; skops may turn out to need trust.
    if format.runs_code or format.name == "skops":
        known |= _vouched(format, digest_of(path), path.name, trust)
    return known


def _of_folder(folder: Path, runtime: str | None, trust: _Trust) -> dict[str, Any]:
    if not (folder / MANIFEST).exists():
        raise ModelFileError(f"{folder.name} is a folder without {MANIFEST}{_files_in(folder)}")
    manifest = read_manifest(folder)
    path = model_file(folder, manifest)
    format = _agreed(manifest, identify(path))
    digest = digest_of(path)
    if digest != manifest.sha256:
        raise ModelFileError(
            f"{manifest.file} is not the file that {MANIFEST} describes (sha256 {digest}, not {manifest.sha256}); "
            "save the model again, or restore the file"
        )
    kept = ("name", "version", "format", "signature", "example", "classes", "output", "options")
    known = {**{key: getattr(manifest, key) for key in kept}, **_vouched(format, digest, manifest.file, trust)}
    return {**known, "path": str(path.absolute()), "runtime": runtime or manifest.runtime}


def _files_in(folder: Path) -> str:
    extensions = {extension for format in FORMATS.values() for extension in format.extensions}
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in extensions)
    return f"; name a file in it: {', '.join(names[:5])}" if names else "; save a model there with penstock.save"


def _agreed(manifest: Manifest, found: Format) -> Format:
    if manifest.format not in SYNONYMS.get(found.name, {found.name}):
        raise ModelFileError(f"{MANIFEST} says that {manifest.file} is {manifest.format}, but it is {found.title}")
    return FORMATS[manifest.format]


def _vouched(format: Format, digest: str, file: str, trust: _Trust) -> dict[str, Any]:
    trusted = digest in trust
    if format.runs_code and not trusted:
        raise UntrustedFile.naming(f"{file} is {format.title}: it", digest)
    return {"sha256": digest, "trusted": trusted}
