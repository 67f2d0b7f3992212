"""A folder's tokenizer.json: there, and made for this network."""

from __future__ import annotations

from pathlib import Path

import msgspec

from penstock.core.errors import ModelFileError
from penstock.repository.hf_files import inside

TOKENIZER = "tokenizer.json"
MAX_BYTES = 256 * 2**20


class _Added(msgspec.Struct):
    id: int


class _Model(msgspec.Struct):
    vocab: dict[str, int] | list[tuple[str, float]] = {}


class _Tokenizer(msgspec.Struct):
    model: _Model
    added_tokens: list[_Added] = []


def check_tokenizer(folder: Path, vocab_size: int) -> None:
    """Raises `ModelFileError` when there is no tokenizer, or one that makes ids which the network does not know.

    A network may know more ids than its tokenizer makes: many are padded to a round number.
    """
    path = inside(folder, TOKENIZER)
    if path is None:
        raise ModelFileError(
            f"there is no {TOKENIZER}; make one, where transformers is installed: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    tokens = _tokens(path)
    if tokens > vocab_size:
        raise ModelFileError(
            f"{TOKENIZER} and config.json are not of one model: the tokenizer makes ids up to {tokens - 1}, and the "
            f"network knows {vocab_size}; put the tokenizer there that the model was trained with"
        )


def _tokens(path: Path) -> int:
    """One more than the highest id that the tokenizer makes."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelFileError(f"{TOKENIZER} is over {MAX_BYTES // 2**20} MB")
        tokenizer = msgspec.json.decode(path.read_bytes(), type=_Tokenizer)
    except OSError as error:
        raise ModelFileError(f"{TOKENIZER} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelFileError(f"{TOKENIZER} is damaged: {error}") from error
    vocab = tokenizer.model.vocab
    ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
    return 1 + max(max(ids, default=-1), max((token.id for token in tokenizer.added_tokens), default=-1))
