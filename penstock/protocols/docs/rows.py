"""A model's rows as JSON Schema: what the predict door takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES
from penstock.core.text import TOKEN_IDS
from penstock.protocols.texts import takes_truncation

Schema = dict[str, Any]


def request_schema(signature: Signature | None, example: Sequence[Any] | None) -> Schema:
    """The body of a predict request, with example rows."""
    if signature is None:
        inputs: Schema = {"type": "array", "items": {}, "minItems": 1}
    else:
        inputs = {"type": "array", "items": row_schema(signature, example), "minItems": 1}
        inputs |= {} if signature.batched else {"maxItems": 1}
    schema: Schema = {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {
            "inputs": inputs | {"description": "One item per row."},
            "outputs": {"type": ["array", "null"], "items": _output_names(signature), "description": "Default: all."},
            "timeout_ms": {
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "description": "Time to answer; 504 after.",
            },
            "priority": {
                "type": ["integer", "null"],
                "minimum": 0,
                "maximum": 9,
                "description": "1 is the most urgent.",
            },
        },
    }
    if signature is not None and takes_truncation(signature):
        schema["properties"]["truncate"] = {
            "type": ["boolean", "null"],
            "description": "Cut texts that are too long, instead of refusing them.",
        }
    return schema | ({"examples": [{"inputs": example}]} if example else {})


def response_schema(signature: Signature | None) -> Schema:
    """The body of a predict response."""
    return {
        "type": "object",
        "required": ["model", "version", "outputs"],
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "string"},
            "outputs": {"type": "array", "items": _answer(signature), "description": "One item per row."},
        },
    }


def row_schema(signature: Signature, example: Sequence[Any] | None = None) -> Schema:
    """One row, in the form that the example has: an object of inputs, a list of them, or the only input's value."""
    first = example[0] if example else None
    specs = signature.inputs
    if signature.task:
        # Token ids are raw bytes, which JSON has no form for.
        whole = _object([spec for spec in specs if spec.name != TOKEN_IDS], batched=signature.batched)
        alone = all(spec.optional for spec in specs[1:])
        return {"oneOf": [value_schema(specs[0], batched=signature.batched), whole]} if alone else whole
    if isinstance(first, dict) or (first is None and len(specs) > 1):
        return _object(specs, batched=signature.batched)
    if len(specs) == 1:
        return value_schema(specs[0], batched=signature.batched)
    items = [value_schema(spec, batched=signature.batched) for spec in specs]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def value_schema(spec: TensorSpec, *, batched: bool, output: bool = False) -> Schema:
    """One row's value of one input or output."""
    shape = spec.shape[1:] if batched else spec.shape
    if output and spec.form == "json":
        return {}
    if output and spec.form == "object":
        values = {label: scalar_schema(spec.datatype, output=True) for label in spec.labels or ()}
        return {"type": "object", "properties": values, "required": list(values)}
    schema = scalar_schema(spec.datatype, output=output)
    if shape == (1,) and not output:
        return {"oneOf": [schema, {"type": "array", "items": schema, "minItems": 1, "maxItems": 1}]}
    for size in reversed(shape):
        schema = {"type": "array", "items": schema}
        schema |= {} if size == -1 else {"minItems": size, "maxItems": size}
    if spec.labels and shape:
        schema["description"] = "In the order of: " + ", ".join(spec.labels[:100])
    return schema


def scalar_schema(datatype: str, *, output: bool = False) -> Schema:
    """One element. Floats in outputs may be null: JSON has no NaN and no infinity."""
    kind = DTYPES[datatype].kind
    if datatype == "BYTES":
        return {"type": "string"}
    if datatype != "BF16" and kind in "iu":
        limits = np.iinfo(DTYPES[datatype])
        return {"type": "integer", "minimum": int(limits.min), "maximum": int(limits.max)}
    if kind == "b":
        return {"type": "boolean"}
    return {"type": ["number", "null"] if output else "number"}


def _object(specs: Sequence[TensorSpec], *, batched: bool, output: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": {spec.name: value_schema(spec, batched=batched, output=output) for spec in specs},
        "required": [] if output else [spec.name for spec in specs if not spec.optional],
        "additionalProperties": False,
    }


def _answer(signature: Signature | None) -> Schema:
    if signature is None or not signature.outputs:
        return {}
    specs, batched = signature.outputs, signature.batched
    whole = _object(specs, batched=batched, output=True)
    if len(specs) == 1:
        return value_schema(specs[0], batched=batched, output=True)
    return whole | {"description": "Only the value itself when one output is asked for."}


def _output_names(signature: Signature | None) -> Schema:
    names = list(signature.output_names()) if signature is not None else []
    return {"type": "string", "enum": names} if names else {"type": "string"}
