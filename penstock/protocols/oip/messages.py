"""The Open Inference Protocol's JSON messages, as types that validate while they decode."""

from __future__ import annotations

from typing import Any

import msgspec

Parameter = str | int | float | bool | None


class InputTensor(msgspec.Struct, gc=False):
    """One input; `data` stays raw until its datatype is known."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Parameter] | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class WantedOutput(msgspec.Struct, gc=False):
    """One requested output."""

    name: str
    parameters: dict[str, Parameter] | None = None


class InferRequest(msgspec.Struct, gc=False):
    """A request's JSON part."""

    inputs: list[InputTensor]
    id: str | None = None
    parameters: dict[str, Parameter] | None = None
    outputs: list[WantedOutput] | None = None


class OutputTensor(msgspec.Struct, gc=False, omit_defaults=True):
    """One output; with `parameters.binary_data_size` its data follows the JSON part."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Parameter] | None = None
    data: list[Any] | msgspec.Raw | None = None


class InferResponse(msgspec.Struct, gc=False, omit_defaults=True):
    """A response's JSON part."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | None = None
