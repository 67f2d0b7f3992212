"""What a language model is served with: an engine and a context that go with its files and with this machine."""

from __future__ import annotations

import msgspec

from penstock.core.language import LanguageModel
from penstock.runtimes.generation import choice, memory


def settle(
    model: LanguageModel, format: str, device: str, path: str, replicas: int = 1, promised: int = 0
) -> LanguageModel:
    """The model with its engine, the reason for that, and a context; nothing is loaded. `promised`: bytes of the free
    memory that others, not loaded yet either, will take.

    Where OpenVINO's copies of the weights are too much for the memory that is free, and nobody named an engine,
    llama.cpp, which maps the file, is taken if it fits. Raises what `choice.choose` and `memory.fit` raise.
    """
    name, reason = choice.choose(model, format, device, path)
    chosen = msgspec.structs.replace(model, engine=name, reason=reason)
    where = choice.place(name, device)
    free = memory.available_to(chosen, name, where)
    free = None if free is None else max(0, free - promised)
    try:
        return _with_context(chosen, free, replicas, where)
    except memory.TooLarge:
        other = _smaller(model, chosen, format, free)
        if other is None:
            raise
        try:
            return _with_context(other, free, replicas, where)
        except memory.TooLarge:
            pass
        raise


def _with_context(model: LanguageModel, free: int | None, replicas: int, device: str) -> LanguageModel:
    return msgspec.structs.replace(model, context=memory.fit(model, model.engine, free, replicas, device))


def _smaller(asked: LanguageModel, chosen: LanguageModel, format: str, free: int | None) -> LanguageModel | None:
    """The same on llama.cpp, where that is possible."""
    if asked.engine != "auto" or chosen.engine != "openvino" or format != "gguf" or not choice.installed("llamacpp"):
        return None
    reason = f"OpenVINO takes more memory than the {memory.in_words(free or 0)} that are free"
    return msgspec.structs.replace(chosen, engine="llamacpp", reason=reason)
