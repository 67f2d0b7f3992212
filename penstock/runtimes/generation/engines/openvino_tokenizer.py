"""The tokenizer of a model that OpenVINO GenAI runs: the project's own where it reads the files, else the library's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Tokenizer


def tokenizer_of(spec: ModelSpec, model: LanguageModel, pipeline: Any) -> Tokenizer:
    """The project's tokenizer of a GGUF file or a tokenizer.json; for a folder without one, the library's."""
    from penstock.runtimes.generation import tokenizers

    if spec.format == "gguf":
        return tokenizers.of_gguf(Path(spec.path))
    file = Path(model.tokenizer) if model.tokenizer else Path(spec.path) / "tokenizer.json"
    return tokenizers.of_file(file) if file.is_file() else LibraryTokenizer(pipeline.get_tokenizer())


class LibraryTokenizer:
    """OpenVINO GenAI's own tokenizer (openvino_tokenizer.xml)."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        vocabulary: dict[Any, int] = tokenizer.get_vocab()
        pieces = [b""] * (max(vocabulary.values(), default=-1) + 1)
        for piece, number in vocabulary.items():
            pieces[number] = piece if isinstance(piece, bytes) else str(piece).encode()
        self._pieces = pieces
        self._control = frozenset(self._hidden())

    def _hidden(self) -> list[int]:
        """Ids that decoding leaves out when it is told to skip special tokens."""
        numbers = [[number] for number in range(len(self._pieces))]
        shown = self._tokenizer.decode(numbers, skip_special_tokens=True)
        return [number for number, text in enumerate(shown) if not text and self._pieces[number]]

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids; control tokens in the text are always read as such."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0]
        return [int(id) for id in ids]

    def pieces(self) -> Sequence[bytes]:
        """Bytes by id."""
        return self._pieces

    @property
    def control(self) -> frozenset[int]:
        """Ids of control tokens."""
        return self._control
