"""Which marks a model's answers have: by its options, or by its chat template."""

from __future__ import annotations

from penstock.core.language import LanguageModel
from penstock.runtimes.generation.marks.calls import CallFormat
from penstock.runtimes.generation.marks.hermes import Hermes
from penstock.runtimes.generation.marks.llama3 import Llama3
from penstock.runtimes.generation.marks.mistral import Mistral

_FORMATS: dict[str, type[CallFormat]] = {"hermes": Hermes, "llama3": Llama3, "mistral": Mistral}
_NO_JSON = ("<function=", "<arg_key>")
"""Marks of templates that have Hermes' tags around something else than JSON."""


def tool_format(model: LanguageModel) -> str:
    """How the model writes tool calls: "hermes", "llama3", "mistral", or "none" where it makes none that are known."""
    if model.tool_format != "auto":
        return model.tool_format
    template = model.chat_template
    if "[TOOL_CALLS]" in template:
        return "mistral"
    if "<tool_call>" in template:
        return "none" if any(mark in template for mark in _NO_JSON) else "hermes"
    llama = "<|python_tag|>" in template or ("<|start_header_id|>" in template and '"parameters"' in template)
    return "llama3" if llama else "none"


def call_format(name: str) -> CallFormat | None:
    """The reader of a format's calls; None for "none"."""
    kind = _FORMATS.get(name)
    return kind() if kind is not None else None


def thinks(model: LanguageModel) -> bool:
    """Whether the model's answers may begin with thoughts."""
    if model.reasoning != "auto":
        return model.reasoning == "think"
    return "</think>" in model.chat_template
