"""Which marks a model's answers have: by its options, or by its chat template."""

from __future__ import annotations

from typing import Literal

from penstock.core.language import LanguageModel
from penstock.runtimes.generation.marks.calls import CallFormat
from penstock.runtimes.generation.marks.hermes import Hermes
from penstock.runtimes.generation.marks.llama3 import Llama3
from penstock.runtimes.generation.marks.mistral import Mistral

FormatName = Literal["hermes", "llama3", "mistral"]
_FORMATS: dict[FormatName, type[CallFormat]] = {"hermes": Hermes, "llama3": Llama3, "mistral": Mistral}
_NO_JSON = ("<function=", "<arg_key>")
"""Marks of templates that have Hermes' tags around something else than JSON."""


def tool_format(model: LanguageModel) -> FormatName | None:
    """How the model writes tool calls; None where it makes none that are known."""
    if model.tool_format != "auto":
        return None if model.tool_format == "none" else model.tool_format
    template = model.chat_template
    if "[TOOL_CALLS]" in template:
        return "mistral"
    if "<tool_call>" in template:
        return None if any(mark in template for mark in _NO_JSON) else "hermes"
    llama = "<|python_tag|>" in template or ("<|start_header_id|>" in template and '"parameters"' in template)
    return "llama3" if llama else None


def call_format(model: LanguageModel) -> CallFormat | None:
    """The reader of the model's calls."""
    name = tool_format(model)
    return _FORMATS[name]() if name is not None else None


def thinks(model: LanguageModel) -> bool:
    """Whether the model's answers may begin with thoughts."""
    if model.reasoning != "auto":
        return model.reasoning == "think"
    return "</think>" in model.chat_template
