"""What a derived model is kept under in the model cache: everything that decides how it comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from penstock.conversion import machine, possible
from penstock.conversion.jobs import Engine, Sample
from penstock.core.model import ModelSpec
from penstock.core.text import Precision
from penstock.repository import cache
from penstock.repository.digests import source_digest
from penstock.repository.trust import digest_of
from penstock.runtimes import external_data

CONVERTER = 1
"""Raise it when the same source comes out differently, so that nothing old is served."""
# Whose versions decide how a derived model comes out.
_LIBRARIES = {"openvino": ("openvino", "nncf"), "onnxruntime": ("onnxruntime",)}


def key_of(spec: ModelSpec, precision: Precision, engine: Engine, sample: Sample | None) -> str:
    """What a derived model is kept under: everything that decides how it comes out.

    Where the libraries that convert are not installed, one that others of their versions made is as good.
    """
    stable = _stable(spec, precision, engine, sample)
    key = f"{stable}-{_short(_versions(spec, engine))}"
    if cache.derived(key) is None and possible.missing(spec, engine, precision):
        return next(iter(cache.keys(f"{stable}-")), key)
    return key


def _stable(spec: ModelSpec, precision: Precision, engine: Engine, sample: Sample | None) -> str:
    """The part of a key that does not change with the versions of libraries."""
    parts = {
        "source": digest_of_source(spec),
        "converter": CONVERTER,
        "task": spec.options.get("task", ""),
        "runtime": spec.runtime,
        "processor": machine.kind() if precision in ("bf16", "int8", "int4") else "",
        "data": "" if sample is None else [digest_of(Path(sample.file)), sample.part, sample.label, _reading(spec)],
    }
    return f"{_short(parts)}-{engine}-{precision}"


def _reading(spec: ModelSpec) -> list[Any]:
    """The options that decide which tokens a text to calibrate on becomes."""
    return [spec.options.get(name) for name in ("prompt", "lower_case", "max_length")]


def digest_of_source(spec: ModelSpec) -> str:
    """The digest of a source's files, those included that an ONNX file keeps weights in."""
    outside = external_data.locations(Path(spec.path).read_bytes()) if spec.format == "onnx" else set()
    return source_digest(spec, outside)


def _short(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:24]


def _versions(spec: ModelSpec, engine: Engine) -> dict[str, str]:
    names = (*_LIBRARIES[engine], *(possible.EXPORTING if possible.is_weights(spec) else ()))
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
