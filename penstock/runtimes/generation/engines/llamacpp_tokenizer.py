"""llama.cpp's own tokenizer of a model: it knows every kind that its models have."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any


class LlamaCppTokenizer:
    """Text to token ids and back, by the vocabulary of a loaded model."""

    def __init__(self, library: Any, vocab: Any):
        self._library = library
        self._vocab = vocab
        numbers = range(library.llama_vocab_n_tokens(vocab))
        self._pieces = [self._piece(number) for number in numbers]
        self._control = frozenset(number for number in numbers if library.llama_vocab_is_control(vocab, number))
        self.ends = frozenset(number for number in numbers if library.llama_vocab_is_eog(vocab, number))

    def _piece(self, token: int) -> bytes:
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = self._library.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids; nothing is added."""
        data = text.encode()
        room = len(data) + 8
        while True:
            tokens = (self._library.llama_token * room)()
            used = self._library.llama_tokenize(self._vocab, data, len(data), tokens, room, False, special)
            if used >= 0:
                return list(tokens[:used])
            room = -used

    def pieces(self) -> Sequence[bytes]:
        """Bytes by id."""
        return self._pieces

    @property
    def control(self) -> frozenset[int]:
        """Ids of control tokens."""
        return self._control
