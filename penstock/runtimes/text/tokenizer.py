"""A model's tokenizer.json: from texts to token ids, whole, with the special tokens that the model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError

_PADDING = ("[PAD]", "<pad>", "<|padding|>")
_MASKS = ("[MASK]", "<mask>", "<|mask|>")


class Tokenizer:
    """Encodes batches of texts. It neither pads nor truncates: what a text was cut to must be said.

    `size`: token ids stop below it. `pad`: the id that fills up. `specials`: ids that stand for no text.
    `mask`: the id and the text of the token that a model fills in, or None. `typed`: even a text alone gets token
    types other than 0.
    """

    def __init__(self, tokenizer: Any):
        tokenizer.no_truncation()
        self._tokenizer = tokenizer
        known = tokenizer.get_vocab(with_added_tokens=True)
        self.size = max(known.values(), default=-1) + 1
        self.specials = frozenset(i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special)
        self.pad = _padding(tokenizer, known)
        self.mask = next(((known[text], text) for text in _MASKS if text in known), None)
        tokenizer.no_padding()
        self.typed = any(tokenizer.encode("a").type_ids)

    def encode(self, texts: Sequence[str | tuple[str, str]], places: bool) -> list[Any]:
        """One `tokenizers.Encoding` per text or pair of texts. `places`: also where in the text each token was."""
        encode = self._tokenizer.encode_batch if places else self._tokenizer.encode_batch_fast
        encodings: list[Any] = encode(texts)
        return encodings

    def special_count(self, pair: bool) -> int:
        """How many special tokens a text gets, or a pair of texts."""
        return int(self._tokenizer.num_special_tokens_to_add(pair))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens, special ones included."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


def _padding(tokenizer: Any, known: dict[str, int]) -> int:
    if tokenizer.padding is not None:
        return int(tokenizer.padding["pad_id"])
    return next((known[text] for text in _PADDING if text in known), 0)


def open_tokenizer(path: Path, vocab_size: int, padding: int | None = None) -> Tokenizer:
    """Reads a tokenizer.json. `vocab_size`: rows of the model's embedding table; 0: not known. `padding`: the id that
    the model was trained to be filled up with; None: the tokenizer's own.

    Raises `ModelFileError` when it is missing, damaged, or another model's.
    """
    if not path.is_file():
        raise ModelFileError(f"the model has no tokenizer: {path.name} is missing beside it")
    import tokenizers

    try:
        tokenizer = Tokenizer(tokenizers.Tokenizer.from_file(str(path)))
    except Exception as error:
        text = f"tokenizers {tokenizers.__version__} cannot read {path.name}: it is truncated, damaged, or too new"
        raise ModelFileError(text, detail=str(error)) from error
    if vocab_size and tokenizer.size > vocab_size:
        raise ModelFileError(
            f"tokenizer and model do not belong together: {path.name} has {tokenizer.size} tokens, "
            f"the model knows {vocab_size}"
        )
    if padding is not None:
        tokenizer.pad = padding
    return tokenizer
