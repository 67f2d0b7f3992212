"""Keys of rows: everything of a request that an answer may depend on, row by row. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array, Tensors

LONGEST = 256
"""Bytes up to which a key is the row's content itself; longer ones are SHA-256 digests of it."""

Content = bytes | memoryview


class RowKeys:
    """Makes the keys of requests that fit a signature; `number` sets them apart from those of other versions.

    A key is: version, tenant, which inputs are present, and each one's variable sizes and elements. Every
    part has a known length or tells it, so different rows never have equal keys.
    """

    def __init__(self, signature: Signature, number: int):
        self._specs = signature.inputs
        self._number = number.to_bytes(8, "little")
        texts = (spec for spec in self._specs if spec.datatype == "BYTES" and len(spec.shape) == 1)
        self._single = {spec.name: self._head([spec], None) for spec in texts}

    def of(self, tensors: Tensors, tenant: str | None) -> list[bytes]:
        """One key per row."""
        if len(tensors) == 1:
            ((name, tensor),) = tensors.items()
            head = self._single.get(name) if tenant is None else None
            if head is not None:
                return _keys(head, tensor.array.tolist())
        present = [spec for spec in self._specs if spec.name in tensors]
        head = self._head(present, tenant) + b"".join(_sizes(spec, tensors[spec.name].array) for spec in present)
        columns = [_contents(spec, tensors[spec.name].array, len(present)) for spec in present]
        return _keys(head, columns[0] if len(columns) == 1 else map(b"".join, zip(*columns, strict=True)))

    def _head(self, present: Iterable[TensorSpec], tenant: str | None) -> bytes:
        names = {spec.name for spec in present}
        who = b"\0" if tenant is None else b"\1" + _framed(tenant.encode("utf-8", "surrogatepass"))
        return b"=" + self._number + who + bytes(spec.name in names for spec in self._specs)


def _keys(head: bytes, contents: Iterable[Content]) -> list[bytes]:
    longest = LONGEST - len(head)
    return [head + content if len(content) <= longest else _digest(head, content) for content in contents]


def _digest(head: bytes, content: Content) -> bytes:
    digest = hashlib.sha256(head)
    digest.update(content)
    return b"#" + digest.digest()


def _sizes(spec: TensorSpec, array: Array) -> bytes:
    """The sizes that the spec leaves open, but for the number of rows."""
    pairs = zip(spec.shape[1:], array.shape[1:], strict=True)
    return b"".join(size.to_bytes(8, "little") for want, size in pairs if want == -1)


def _contents(spec: TensorSpec, array: Array, inputs: int) -> Sequence[Content]:
    """Every row's elements, numbers without a copy. A text that is the whole of a row need not tell its length."""
    rows = array.shape[0]
    if spec.datatype == "BYTES":
        if inputs == 1 and array.ndim == 1:
            return list(array.tolist())
        return [b"".join(map(_framed, row)) for row in array.reshape(rows, -1).tolist()]
    if not array.size:
        return [b""] * rows
    raw = np.ascontiguousarray(array).data.cast("B")
    width = len(raw) // rows
    return [raw[at : at + width] for at in range(0, len(raw), width)]


def _framed(element: bytes) -> bytes:
    return len(element).to_bytes(8, "little") + element
