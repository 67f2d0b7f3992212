"""Log-probabilities in the shape of OpenAI's older API: lists side by side, and where in the text each token begins."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from penstock.core.generation import TokenLogprob
from penstock.protocols.generation.logprobs import shown
from penstock.protocols.openai.completions.request import CompletionRequest


class Positions:
    """Follows the text of one choice."""

    def __init__(self, message: CompletionRequest):
        self._alternatives = bool(message.logprobs)
        self._offset = 0

    def of(self, text: str, tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
        """The next piece of text with its tokens."""
        found = {
            "tokens": [token.token for token in tokens],
            "token_logprobs": [shown(token.logprob) for token in tokens],
            "top_logprobs": list(map(_alternatives, tokens)) if self._alternatives else None,
            "text_offset": self._offsets(tokens),
        }
        self._offset += len(text)
        return found

    def _offsets(self, tokens: Sequence[TokenLogprob]) -> list[int]:
        """A token that begins inside a character has that character's place."""
        characters = codecs.getincrementaldecoder("utf-8")("replace")
        offsets, place = [], self._offset
        for token in tokens:
            offsets.append(place)
            place += len(characters.decode(token.raw))
        return offsets


def _alternatives(token: TokenLogprob) -> dict[str, float]:
    """The likeliest tokens and the one that was chosen."""
    return {text: shown(logprob) for text, _, logprob in token.top} | {token.token: shown(token.logprob)}
