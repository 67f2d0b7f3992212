"""Names of GGUF files: which quantization they claim, and which of several is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from penstock.core.errors import ModelFileError

USUAL = "Q4_K_M"
_QUANTIZATION = re.compile(
    r"(?<![A-Z0-9])((?:UD-)?I?Q\d(?:_[A-Z0-9]{1,3}){0,2}|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32|FP16|FP32)"
    r"(?![A-Z0-9])",
    re.IGNORECASE,
)
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
MAX_PARTS = 1_000
_NO_MODELS = ("mmproj", "imatrix", "ggml-vocab")
_SAME = {"FP16": "F16", "FP32": "F32"}


class Pick(NamedTuple):
    """`file`: the one to serve; of several parts, the first. `others`: of these parts. `reason`: in words, where nobody
    named it."""

    file: str
    others: tuple[str, ...] = ()
    reason: str = ""


def quantization_of(name: str) -> str:
    """What a file's name claims ("Q4_K_M"), or ""."""
    found = _QUANTIZATION.findall(name.rpartition("/")[2].removesuffix(".gguf"))
    word = found[-1].upper() if found else ""
    return _SAME.get(word, word)


def models_in(names: Mapping[str, int]) -> dict[str, int]:
    """The models among files, by name (of several parts, the first), and their sizes."""
    found: dict[str, int] = {}
    for name in sorted(names):
        base = name.rpartition("/")[2].lower()
        if not name.endswith(".gguf") or base.startswith(_NO_MODELS) or "-mmproj-" in base:
            continue
        match = _PART.search(name)
        first = name if match is None else f"{name[: match.start()]}-00001-of-{match.group(2)}.gguf"
        found[first] = found.get(first, 0) + names[name]
    return {name: size for name, size in found.items() if name in names}


def pick(names: Mapping[str, int], wanted: str | None = None) -> Pick:
    """The model to serve among files with these names and sizes; `wanted`: a quantization ("Q4_K_M").

    Raises `ModelFileError` that names what there is.
    """
    models = models_in(names)
    if not models:
        raise ModelFileError(f"there is no language model among the GGUF files: {_others(names)}")
    if wanted is not None:
        return _wanted(models, wanted, names)
    if len(models) == 1:
        return with_parts(next(iter(models)), names)
    usual = [name for name in models if quantization_of(name) == USUAL]
    if usual:
        reason = f"{USUAL} is taken of {len(models)} GGUF files"
        return with_parts(min(usual, key=len), names)._replace(reason=reason)
    enough = {name: size for name, size in models.items() if bits_of(quantization_of(name)) >= 4}
    if not enough:
        raise ModelFileError(f"it is not clear which GGUF file to serve: {_listed(models)}; name one")
    least = min(enough, key=lambda name: (enough[name], name))
    reason = f"{quantization_of(least)} is taken of {len(models)} GGUF files, the smallest of at least 4 bits"
    return with_parts(least, names)._replace(reason=reason)


def with_parts(file: str, names: Mapping[str, int]) -> Pick:
    """A file that was named, and the other parts of its model. Raises `ModelFileError` when one is missing."""
    parts = parts_of(file)
    missing = next((part for part in parts if part not in names), None)
    if missing is not None and len(parts) > 1:
        raise ModelFileError(f"{file} is one of {len(parts)} parts, and {missing} is missing; get them all")
    return Pick(parts[0], tuple(parts[1:]))


def parts_of(file: str) -> list[str]:
    """The names of all parts of a model, in order, told by one of them (NAME-00001-of-00010.gguf); its own alone where
    it names no others. Raises `ModelFileError` for a number of parts that cannot be."""
    match = _PART.search(file)
    if match is None:
        return [file]
    number, count = int(match.group(1)), int(match.group(2))
    if not 1 <= number <= count <= MAX_PARTS:
        raise ModelFileError(f"{file} says that it is part {number} of {count}; models have 1 to {MAX_PARTS:,} parts")
    return [f"{file[: match.start()]}-{part:05d}-of-{count:05d}.gguf" for part in range(1, count + 1)]


def bits_of(quantization: str) -> int:
    """Bits per weight that a quantization's name says; 0 when it says none."""
    digits = re.search(r"\d+", quantization)
    return int(digits.group()) if digits else 0


def _wanted(models: Mapping[str, int], wanted: str, names: Mapping[str, int]) -> Pick:
    word = _SAME.get(wanted.upper(), wanted.upper())
    fitting = [name for name in models if quantization_of(name) == word]
    if not fitting:
        raise ModelFileError(f"there is no GGUF file in {wanted[:40]}; there is {_listed(models)}")
    if len(fitting) > 1:
        raise ModelFileError(f"several GGUF files are in {word}: {', '.join(fitting[:8])}; name one of them")
    return with_parts(fitting[0], names)


def _others(names: Mapping[str, int]) -> str:
    found = [name for name in sorted(names) if name.endswith(".gguf")]
    return f"{', '.join(found[:8])} only {'go' if len(found) > 1 else 'goes'} with one" if found else "there are none"


def _listed(models: Mapping[str, int]) -> str:
    words = dict.fromkeys(quantization_of(name) or name for name in models)
    return ", ".join(list(words)[:24])
