"""From a described model to one that can be served: converted where its format or its precision needs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from penstock.conversion import machine, possible
from penstock.conversion.jobs import Sample
from penstock.core.errors import ConfigError, MissingExtra
from penstock.core.model import ModelSpec
from penstock.core.text import Precision

Say = Callable[[str], None]
_INFERENCE = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}


def servable(
    spec: ModelSpec,
    precision: Precision | None,
    calibration: Sample | None,
    given: Mapping[str, Any],
    say: Say,
) -> ModelSpec:
    """The spec of what is served: the source itself, or what is derived from it, which is made if need be.

    `precision`: None leaves the model as its files are. `given`: options of the person. Raises what
    `derive.derived` raises, and `ConfigError` for a precision that the device does not compute in.
    """
    if not needed(spec, precision, calibration):
        return spec
    if possible.is_weights(spec) and (engine := _torch(spec, precision)):
        return _by_torch(spec, precision, engine, given)
    from penstock.conversion import derive

    return derive.resolved(spec, precision, calibration, say, given)


def check(spec: ModelSpec, precision: Precision | None, calibration: Sample | None) -> None:
    """Raises what is wrong before anything is converted."""
    if needed(spec, precision, calibration):
        possible.check(spec, precision or "fp32", calibration)


def needed(spec: ModelSpec, precision: Precision | None, calibration: Sample | None) -> bool:
    """Whether the source is not what is served. A model that has the precision already is taken as it is."""
    if calibration is not None and precision != "int8":
        raise ConfigError(f"calibration is for precision: int8, not for {precision or 'a model as it is'}")
    if calibration is not None and spec.precision == "int8" and not possible.is_weights(spec):
        raise ConfigError(f"{spec.name} is in int8 already, which no calibration changes; leave it out")
    # Graphs that say nothing are in fp32, or in what somebody else chose: either way they are served as they are.
    same = precision in (None, spec.precision) or (precision == "fp32" and not spec.precision)
    return possible.is_weights(spec) or not same


# --- on PyTorch


def _torch(spec: ModelSpec, precision: Precision | None) -> str | None:
    """The arithmetic of the device that PyTorch serves the model on; None when it is converted for the CPU.

    Raises `ConfigError` when PyTorch is asked to serve a pickle, which it reads only to convert it.
    """
    if spec.format != "safetensors":
        if spec.device.startswith("cuda") or spec.options.get("engine") == "torch":
            raise ConfigError(f"{spec.name} is a pickle; PyTorch serves safetensors, so save the model anew as those")
        return None
    if spec.options.get("engine", "auto") == "torch":
        return machine.cuda_arithmetic() or "f32" if spec.device != "cpu" else "f32"
    if spec.device.startswith("cuda"):
        return machine.cuda_arithmetic() or "bf16"
    automatic = (
        spec.device == "auto" and precision not in ("int8", "int4") and spec.options.get("engine", "auto") == "auto"
    )
    return machine.cuda_arithmetic() if automatic else None


def _by_torch(spec: ModelSpec, precision: Precision | None, usual: str, given: Mapping[str, Any]) -> ModelSpec:
    """The folder as it is, computed by PyTorch: in 16 bits on a GPU unless the settings say otherwise."""
    if precision in ("int8", "int4"):
        raise ConfigError(f"precision: {precision} is for the CPU, on OpenVINO; PyTorch computes in bf16, fp16 or fp32")
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtra(f"{spec.name} on PyTorch needs the extra: pip install 'penstock[convert]'")
    inference = given.get("inference") or (usual if precision is None else _INFERENCE[precision])
    names = {value: key for key, value in _INFERENCE.items()}
    options = {**spec.options, "engine": "torch", "inference": inference}
    return msgspec.structs.replace(spec, options=options, precision=names[inference])
