"""The tokens of one step, as llama.cpp takes them."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Batch:
    """Up to `capacity` tokens of several sequences."""

    def __init__(self, library: Any, capacity: int):
        self.capacity = capacity
        self.used = 0
        self._tokens = np.zeros(capacity, np.int32)
        self._positions = np.zeros(capacity, np.int32)
        self._sequences = np.zeros(capacity, np.int32)
        self._wanted = np.zeros(capacity, np.int8)
        self._ones = np.ones(capacity, np.int32)
        first = self._sequences.ctypes.data
        self._pointers = np.arange(first, first + 4 * capacity, 4, dtype=np.uintp)
        self._native = self._structure(library)

    def _structure(self, library: Any) -> Any:
        kinds = dict(library.llama_batch._fields_)
        arrays: dict[str, NDArray[Any]] = {
            "token": self._tokens,
            "pos": self._positions,
            "n_seq_id": self._ones,
            "seq_id": self._pointers,
            "logits": self._wanted,
        }
        native = library.llama_batch()
        for name, array in arrays.items():
            setattr(native, name, ctypes.cast(array.ctypes.data, kinds[name]))
        return native

    @property
    def room(self) -> int:
        """Tokens that still fit."""
        return self.capacity - self.used

    def clear(self) -> None:
        """Takes everything out."""
        self.used = 0

    def add(self, sequence: int, tokens: list[int], position: int, wanted: int) -> int:
        """Adds tokens of a sequence from `position` on; the logits after the last `wanted` of them are needed. Returns
        the row of the first of these."""
        start, end = self.used, self.used + len(tokens)
        self._tokens[start:end] = tokens
        self._positions[start:end] = np.arange(position, position + len(tokens))
        self._sequences[start:end] = sequence
        self._wanted[start:end] = 0
        if wanted:
            self._wanted[end - wanted : end] = 1
        self.used = end
        return end - wanted

    def native(self) -> Any:
        """The structure that llama.cpp reads."""
        self._native.n_tokens = self.used
        return self._native
