"""A language model's tokenizer on the library tokenizers: text to ids, and the bytes that each id stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.core.errors import MissingExtra


class FastTokenizer:
    """The `Tokenizer` of generation/contract.py. Used from one thread."""

    def __init__(self, tokenizer: Any, pieces: Sequence[bytes], control: frozenset[int]):
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._control = control

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids; nothing is added. `special`: control tokens written in the text are read as such."""
        self._tokenizer.encode_special_tokens = not special
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def pieces(self) -> Sequence[bytes]:
        """The bytes that each id stands for, by id; empty for ids that stand for nothing. A control token's are its
        name, which is no part of an answer."""
        return self._pieces

    @property
    def control(self) -> frozenset[int]:
        """Ids of control tokens, which are no part of an answer's text."""
        return self._control


def library() -> Any:
    """The module tokenizers. Raises `MissingExtra` when it is not installed."""
    try:
        import tokenizers
    except ImportError as error:
        text = "language models need the extra: pip install 'penstock[llm]' (tokenizers is missing)"
        raise MissingExtra(text) from error
    return tokenizers
