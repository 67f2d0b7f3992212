"""GGUF files read with care: metadata, and where tensors lie. No count, length or offset is believed before it was
compared with the file's size (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from penstock.core.errors import ModelFileError
from penstock.core.gguf_values import Array, Values

MAGIC = b"GGUF"
MAX_ENTRIES = 65_536
MAX_KEY = 65_535
MAX_NAME = 1_024
# Of each kind of tensor, by its number: name, elements in a block, bytes of a block.
KINDS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


class Tensor(NamedTuple):
    """One tensor. `kind`: "Q4_0". `size`: in bytes. `offset`: from where the tensors begin."""

    name: str
    kind: str
    shape: tuple[int, ...]
    size: int
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for size in self.shape:
            count *= size
        return count


class Gguf(NamedTuple):
    """A whole GGUF file. Long arrays are `Array` in its metadata; `array` reads one."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    def array(self, key: str) -> list[Any]:
        """An array of the metadata, read now; texts are bytes. [] when there is none. Raises as `read` does."""
        value = self.metadata.get(key)
        if not isinstance(value, Array):
            return list(value) if isinstance(value, list) else []
        try:
            with self.path.open("rb") as file:
                return Values(file, self.path.name, self.path.stat().st_size, value.start).elements(value)
        except OSError as error:
            raise _unreadable(self.path, error) from error


def read(path: Path) -> Gguf:
    """The metadata and tensors of a GGUF file. Raises `ModelFileError` when it is cut short, damaged or not known."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            values = Values(file, path.name, size)
            tensors, pairs = _head(values, path.name)
            metadata = _metadata(values, pairs)
            return Gguf(path, metadata, _tensors(values, tensors, metadata, path.name))
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ModelFileError:
    return ModelFileError(f"{path.name} cannot be read: {error.strerror}")


def _head(values: Values, name: str) -> tuple[int, int]:
    """How many tensors and pairs of metadata there are said to be."""
    if values.raw(4) != MAGIC:
        raise values.damaged("it does not begin with GGUF")
    version = values.u32()
    if version not in (2, 3):
        said = f"{version}" if version < 65_536 else "3 for big-endian machines"
        raise ModelFileError(f"{name} is GGUF of version {said}; versions 2 and 3 are read")
    tensors, pairs = values.u64(), values.u64()
    if tensors > MAX_ENTRIES or pairs > MAX_ENTRIES:
        raise values.damaged(f"it claims {tensors:,} tensors and {pairs:,} settings")
    return tensors, pairs


def _metadata(values: Values, pairs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(pairs):
        key = values.name(MAX_KEY)
        if key in found:
            raise values.damaged(f"it has two settings named {key[:80]!r}")
        found[key] = values.value()
    return found


def _tensors(values: Values, count: int, metadata: Mapping[str, Any], name: str) -> tuple[Tensor, ...]:
    """Where the tensors are, all of them within the file."""
    found: dict[str, Tensor] = {}
    for _ in range(count):
        tensor = _tensor(values, name)
        if tensor.name in found:
            raise values.damaged(f"it has two tensors named {tensor.name[:80]!r}")
        found[tensor.name] = tensor
    _check_places(values, found.values(), _alignment(values, metadata), name)
    return tuple(found.values())


def _tensor(values: Values, file: str) -> Tensor:
    name = values.name(MAX_NAME)
    dimensions = values.u32()
    if not 1 <= dimensions <= 4:
        raise values.damaged(f"the tensor {name[:80]!r} has {dimensions} dimensions")
    shape = tuple(values.u64() for _ in range(dimensions))
    kind, offset = values.u32(), values.u64()
    if kind not in KINDS:
        raise ModelFileError(
            f"{file} has tensors of a kind that is not known here ({kind}): it is damaged, or newer than this version "
            "of Penstock"
        )
    title, block, width = KINDS[kind]
    tensor = Tensor(name, title, shape, 0, offset)
    # A dimension's own bound comes first: the product of four may have thousands of digits.
    if max(shape) > values.size * block or shape[0] % block:
        raise values.damaged(f"the tensor {name[:80]!r} cannot have the shape {list(shape)}")
    return tensor._replace(size=tensor.elements // block * width)


def _alignment(values: Values, metadata: Mapping[str, Any]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 1 <= alignment <= 2**20 or alignment & (alignment - 1):
        raise values.damaged(f"general.alignment is {str(alignment)[:40]}")
    return alignment


def _check_places(values: Values, tensors: Collection[Tensor], alignment: int, name: str) -> None:
    start = -(-values.at // alignment) * alignment
    for tensor in tensors:
        if tensor.offset % alignment:
            raise values.damaged(f"the tensor {tensor.name[:80]!r} begins at an odd place")
    end = max((start + tensor.offset + tensor.size for tensor in tensors), default=0)
    if end > values.size:
        raise ModelFileError(
            f"{name} is truncated or damaged: its header describes {end:,} bytes, and it has {values.size:,}; get it "
            "again"
        )
