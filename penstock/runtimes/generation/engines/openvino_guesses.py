"""How many tokens OpenVINO GenAI guessed in a step, which it tells nobody: its rules, followed once more."""

from __future__ import annotations

from array import array

from penstock.core.language import LanguageModel
from penstock.runtimes.generation.engines.openvino_settings import LOOKUP


def guessed(text: array[int], room: int, model: LanguageModel, ngram: int) -> int:
    """Tokens guessed after this text (prompt and answer so far). `room`: tokens that the answer may still have.

    A draft model always guesses; prompt lookup only where the end of the text occurred before.
    """
    most = min(model.draft_tokens, room - 1)
    if most < 1:
        return 0
    return _found(text, most, ngram) if model.speculative == LOOKUP else most


def _found(text: array[int], most: int, ngram: int) -> int:
    """How many tokens follow the first place where the longest possible run of last tokens occurs."""
    longest = ngram if ngram < len(text) else len(text) // 2
    data, size = text.tobytes(), text.itemsize
    for length in range(longest, 0, -1):
        at = _at(data, data[-length * size :], size)
        if at < len(text) - length:
            return min(most, len(text) - at - length)
    return 0


def _at(data: bytes, run: bytes, size: int) -> int:
    """The index of a run's first occurrence; it always occurs at the end."""
    at = data.find(run)
    while at % size:
        at = data.find(run, at + 1)
    return at // size
