"""What is installed and set: runtimes and their extras, the trust store, the environment, penstock.yaml."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from penstock.cli.doctor.finding import Finding
from penstock.cli.doctor.machine import onnx_providers
from penstock.config import environment
from penstock.config.document import Document
from penstock.core.errors import ConfigError
from penstock.repository.trust import TrustStore
from penstock.runtimes.registry import RUNTIMES, Entry

_PACKAGES = {
    "sklearn": ("scikit-learn",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "xgboost": ("xgboost-cpu", "xgboost"),
}
"""Packages by library, where their names differ."""


def penstock() -> Finding:
    """The version of Penstock."""
    return Finding("penstock", "ok", version("penstock"))


def runtimes() -> Iterator[Finding]:
    """What models can be served here."""
    for entry in RUNTIMES.values():
        if entry.library is not None:
            yield runtime(entry, entry.library)


def runtime(entry: Entry, library: str) -> Finding:
    """Whether the library of one runtime is installed, and can be loaded."""
    subject = f"{entry.name} models"
    if importlib.util.find_spec(library) is None:
        return Finding(subject, "note", "not installed", f"to serve them: pip install 'penstock[{entry.extra}]'")
    found = f"{library} {installed(library)}".rstrip()
    if library == "onnxruntime":
        providers = onnx_providers()
        if not providers:
            fix = "install it anew: pip install --force-reinstall onnxruntime"
            return Finding(subject, "broken", f"{found}, which cannot be loaded", fix)
        found += f" ({', '.join(name.removesuffix('ExecutionProvider') for name in providers)})"
    return Finding(subject, "ok", found)


def installed(library: str) -> str:
    """The version of an importable library; empty when it does not say."""
    for package in _PACKAGES.get(library, (library,)):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return ""


def trust(store: TrustStore | None = None) -> Finding:
    """Whether the list of trusted files can be read."""
    store = store or TrustStore()
    try:
        count = len(store.digests())
    except ConfigError as error:
        what, _, fix = error.message.partition("; ")
        return Finding("trust store", "broken", f"{store.path}: {what}", fix)
    return Finding("trust store", "ok", f"{count} file{'' if count == 1 else 's'} trusted, in {store.path}")


def variables(environ: Mapping[str, str] | None = None) -> Finding:
    """Whether every PENSTOCK_ variable names a setting of a server without a configuration file."""
    known = os.environ if environ is None else environ
    of_server = {name: text for name, text in known.items() if not name.startswith("PENSTOCK_MODELS__")}
    try:
        environment.apply(Document({}, {}, "environment"), of_server)
    except ConfigError as error:
        return Finding("environment", "broken", error.message, "unset the variable, or correct its name")
    count = sum(name.startswith(environment.PREFIX) for name in known)
    return Finding("environment", "ok", f"{count} PENSTOCK_ variables set")


def configuration(file: Path = Path("penstock.yaml")) -> Iterator[Finding]:
    """Whether the configuration in this folder, if there is one, could be served."""
    if not file.is_file():
        return
    from penstock.cli.config import examined

    problems, config = examined(file)
    for problem in problems:
        yield Finding(file.name, "broken", str(problem), f"correct it, then: penstock config check {file.name}")
    if config is not None and not problems:
        yield Finding(file.name, "ok", f"{len(config.models)} models")
