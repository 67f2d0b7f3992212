"""OpenVINO IR: an XML file with the network, and a .bin file beside it with the weights."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.core.errors import ModelFileError

# Every constant says where its bytes are: <data element_type="f32" shape="2" offset="0" size="8"/>.
_CONSTANT = re.compile(rb'<data\b[^>]*?\boffset="(\d{1,19})"[^>]*?\bsize="(\d{1,19})"')


def weights_of(path: Path) -> Path:
    """The .bin file of an IR, whole. Raises `ModelFileError` when it is missing, or shorter than the network needs."""
    weights = path.with_suffix(".bin")
    needed = _needed(path)
    if not weights.is_file():
        if needed == 0:
            return weights
        raise ModelFileError(f"{path.name} keeps its weights in {weights.name}, which is not beside it")
    size = weights.stat().st_size
    if needed > size:
        raise ModelFileError(
            f"{weights.name} is truncated or of another model: {path.name} needs {needed:,} bytes, and it has {size:,}"
        )
    return weights


def _needed(path: Path) -> int:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}") from error
    return max((int(offset) + int(size) for offset, size in _CONSTANT.findall(data)), default=0)
