"""Token ids back to text: whole characters only."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from penstock.runtimes.generation.contract import Tokenizer

_Decoder = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """The text of one sequence, token by token.

    A character whose bytes are spread over tokens comes with the last of them; bytes that cannot become one are
    U+FFFD. `hidden`: tokens that are no text, as ids that the vocabulary lacks are none. `strip`: the first space is
    the tokenizer's own, not the model's.
    """

    __slots__ = ("_decoder", "_hidden", "_pieces", "_strip")

    def __init__(self, pieces: Sequence[bytes], hidden: frozenset[int] = frozenset(), *, strip: bool = False):
        self._pieces = pieces
        self._hidden = hidden
        self._decoder = _Decoder(errors="replace")
        self._strip = strip

    def feed(self, token: int) -> str:
        """The text that this token completes; often none."""
        if self.hides(token):
            text = self.end()
        else:
            text = self._decoder.decode(self._pieces[token])
        if self._strip and text:
            self._strip = False
            return text.removeprefix(" ")
        return text

    def hides(self, token: int) -> bool:
        """Whether a token is no text."""
        return token in self._hidden or not 0 <= token < len(self._pieces)

    def end(self) -> str:
        """What is left: bytes that lack the rest of their character, as U+FFFD."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


def whole(pieces: Sequence[bytes], tokens: Sequence[int], *, strip: bool = False) -> str:
    """The text of all these tokens, control tokens by their names."""
    text = b"".join(pieces[token] for token in tokens).decode(errors="replace")
    return text.removeprefix(" ") if strip else text


def adds_space(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer puts a space before every text, as SentencePiece does."""
    tokens = tokenizer.encode("a")
    return bool(tokens) and tokenizer.pieces()[tokens[0]].startswith(b" ")
