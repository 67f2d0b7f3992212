"""The tokenizer of a folder: its tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.runtimes.generation.tokenizers.alphabets import byte_level, plain, sentencepiece
from penstock.runtimes.generation.tokenizers.fast import FastTokenizer, library

Decode = Callable[[str], bytes]


class _Model(msgspec.Struct):
    type: str = "BPE"


class _Described(msgspec.Struct):
    """The parts of a tokenizer.json that say how its tokens are written."""

    model: _Model
    decoder: Any = None
    pre_tokenizer: Any = None


def of_file(path: Path) -> FastTokenizer:
    """Reads a tokenizer.json.

    Raises `ModelFileError` when it is missing, damaged, or of a kind that language models do not have, `MissingExtra`.
    """
    tokenizers = library()
    try:
        data = path.read_bytes()
        described = msgspec.json.decode(data, type=_Described)
        tokenizer = tokenizers.Tokenizer.from_str(data.decode())
    except FileNotFoundError as error:
        raise ModelFileError(f"the model has no tokenizer: {path.name} is missing beside it") from error
    except Exception as error:
        text = f"tokenizers {tokenizers.__version__} cannot read {path.name}: it is truncated, damaged, or too new"
        raise ModelFileError(text, detail=str(error)) from error
    return _made(tokenizer, _alphabet(described))


def _made(tokenizer: Any, decode: Decode) -> FastTokenizer:
    known: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    added = tokenizer.get_added_tokens_decoder()
    pieces = [b""] * (1 + max(known.values(), default=-1))
    for token, at in known.items():
        pieces[at] = decode(token)
    for at, token in added.items():
        pieces[at] = plain(token.content) if token.special or decode is byte_level else decode(token.content)
    return FastTokenizer(tokenizer, pieces, frozenset(at for at, token in added.items() if token.special))


def _alphabet(described: _Described) -> Decode:
    """How the vocabulary writes bytes, by its decoder, or by what cuts the text where there is none."""
    parts = _kinds(described.decoder) or _kinds(described.pre_tokenizer)
    if "ByteLevel" in parts:
        return byte_level
    if described.model.type in ("BPE", "Unigram") and parts & {"ByteFallback", "Metaspace", "Replace"}:
        return sentencepiece
    name = " and ".join(sorted(parts)) or "nothing"
    raise ModelFileError(
        f"the tokenizer decodes {described.model.type} tokens with {name}, from which no bytes can be told; "
        "byte-level BPE and SentencePiece vocabularies are read"
    )


def _kinds(part: Any) -> set[str]:
    """The types of a decoder or pre-tokenizer and of all it is made of."""
    if isinstance(part, list):
        return set().union(*map(_kinds, part))
    if not isinstance(part, dict):
        return set()
    inner = part.get("decoders") or part.get("pretokenizers")
    return _kinds(inner) if inner else {str(part.get("type"))}
