"""What a model takes and gives: names, datatypes and shapes of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from penstock.core.errors import BadInput
from penstock.core.tensors import DTYPES, Array, Tensors


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input or output. A dimension of -1 is variable; text is BYTES.

    `optional` inputs may be left out of a request; `labels` name the positions of the last axis
    (class names of a probability output). `form`: how the predict door shows a row of an output:
    as it is, as an object from label to value, or as the JSON that its text holds.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    labels: tuple[str, ...] | None = None
    form: Literal["plain", "object", "json"] = "plain"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model's inputs and outputs, in order.

    `batched`: the first axis of every input and output counts rows that do not influence each
    other, so rows of different requests may run together. `fixed_rows`: the model takes exactly
    that many rows at a time (the batcher pads), or None.

    Models that read text say more. `task`: what they do ("embedding", "classification", "reranking",
    "token-classification", "fill-mask"). `max_tokens`: the longest input that they read; batches are then filled by
    tokens instead of rows, and an output `tokens` counts those of every row.

    Models that generate text (`task` "generation") have no tensors: `max_tokens` is their context, prompt and answer
    together, `sequences` how many answers they generate at once, `cache_tokens` how many tokens their key-value cache
    holds.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    batched: bool = True
    fixed_rows: int | None = None
    task: str = ""
    max_tokens: int | None = None
    sequences: int = 0
    cache_tokens: int = 0

    def output_names(self) -> tuple[str, ...]:
        """The outputs' names, in order."""
        return tuple(spec.name for spec in self.outputs)


class Fit(msgspec.Struct, frozen=True):
    """Which inputs a request fills, prepared once per signature, so that checking costs little."""

    signature: Signature
    specs: dict[str, TensorSpec]
    required: frozenset[str]

    @classmethod
    def of(cls, signature: Signature) -> Fit:
        """Prepares a signature for checking."""
        specs = {spec.name: spec for spec in signature.inputs}
        return cls(signature, specs, frozenset(n for n, s in specs.items() if not s.optional))

    def rows(self, tensors: Tensors) -> int:
        """Checks tensors against the signature; returns the number of rows (1 if not batched).

        Raises `BadInput` for missing and unknown inputs, datatypes and shapes that differ, and
        inputs whose row counts differ; `tensors` maps input names to tensors.
        """
        rows = -1
        specs = self.specs
        batched = self.signature.batched
        for name, tensor in tensors.items():
            spec = specs.get(name)
            if spec is None:
                raise self._unknown(name)
            if tensor.datatype != spec.datatype:
                raise BadInput(f"input {name!r} must be {spec.datatype}, got {tensor.datatype}")
            shape = tensor.array.shape
            if shape[1:] != spec.shape[1:] or not (batched and shape):
                check_shape(spec, shape)
            if batched:
                if rows < 0:
                    rows = shape[0]
                elif rows != shape[0]:
                    raise BadInput(f"inputs disagree on the number of rows: {name!r} has {shape[0]}, another {rows}")
        if len(tensors) < len(specs) and not self.required.issubset(tensors):
            missing = ", ".join(sorted(self.required - set(tensors)))
            raise BadInput(f"missing input: {missing}")
        return rows if rows >= 0 else 1

    def _unknown(self, name: str) -> BadInput:
        known = ", ".join(list(self.specs)[:20])
        return BadInput(f"unknown input {name[:64]!r}; the model takes: {known}")


def check_shape(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    """Raises `BadInput` unless `shape` fits the spec's (-1 fits any size)."""
    wanted = spec.shape
    if len(shape) != len(wanted):
        raise wrong_shape(spec.name, wanted, shape)
    for size, want in zip(shape, wanted, strict=True):
        if size != want and want != -1:
            raise wrong_shape(spec.name, wanted, shape)


def wrong_shape(name: str, wanted: Sequence[int], got: Sequence[int]) -> BadInput:
    """The error for a shape that does not fit; n stands for any size."""
    shown = ", ".join("n" if size == -1 else str(size) for size in wanted)
    hint = "; is a pair of brackets missing around the rows?" if len(got) == len(wanted) - 1 else ""
    return BadInput(f"input {name!r} must have shape [{shown}], got {list(got)}{hint}")


def spec_of(name: str, array: Array, datatype: str, *, batched: bool = True) -> TensorSpec:
    """A spec that fits an example array, its first axis variable when `batched`."""
    if datatype not in DTYPES:
        raise BadInput(f"unknown datatype {datatype!r}")
    shape = tuple(int(size) for size in array.shape)
    return TensorSpec(name, datatype, (-1, *shape[1:]) if batched and shape else shape)
