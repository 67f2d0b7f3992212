"""The tokenizer of a GGUF file, built from what its metadata says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from penstock.core.errors import ModelFileError
from penstock.core.gguf import Gguf, read
from penstock.runtimes.generation.tokenizers.alphabets import SPACE, byte_level, plain, sentencepiece
from penstock.runtimes.generation.tokenizers.fast import FastTokenizer, library
from penstock.runtimes.generation.tokenizers.patterns import CUTTINGS

_PREFIX = "tokenizer.ggml."
_NAME = "general.name"
_NOT_SWALLOWING = ("<unk>", "<s>", "<|endoftext|>")
"""Phi-3's other control tokens take the blanks after them away, which GGUF files have no word for."""
_UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 2, 3, 4, 6
# Cutting a token everywhere takes the square of its length. Real ones have some tens of characters, and the largest
# vocabularies two million characters and half a million merges.
MAX_LENGTH = 256
_MAX_CHARACTERS = 2**23
_MAX_MERGES = 2**21


class _Vocabulary(NamedTuple):
    """Token texts and their types, by id; `ids`: the other way round (the first of equal texts)."""

    tokens: list[str]
    types: list[int]
    ids: dict[str, int]

    def of_type(self, *types: int) -> list[int]:
        return [at for at, type_ in enumerate(self.types) if type_ in types]


def of_gguf(path: Path) -> FastTokenizer:
    """Builds the tokenizer that a GGUF file describes: byte-level BPE ("gpt2") or SentencePiece BPE ("llama").

    Raises `ModelFileError` when it is of another kind (naming it), or damaged; `MissingExtra`.
    """
    file = read(path)
    kind = _said(file, "model")
    build = _BUILDERS.get(kind)
    if build is None:
        known = "gpt2 (byte-level BPE), llama (SentencePiece) and gemma4 are read"
        text = f"the GGUF file has a tokenizer of the kind {kind!r}; {known}"
        raise ModelFileError(text if kind else "the GGUF file has no tokenizer")
    vocabulary = _vocabulary(file)
    try:
        tokenizer = build(vocabulary, file)
    except ModelFileError:
        raise
    except Exception as error:
        text = "the GGUF file's tokenizer is damaged: its tokens and merges do not fit together"
        raise ModelFileError(text, detail=str(error)) from error
    _add_tokens(tokenizer, vocabulary, str(file.metadata.get(_NAME, "")))
    return FastTokenizer(tokenizer, _pieces(vocabulary, kind), frozenset(vocabulary.of_type(_UNKNOWN, _CONTROL)))


def _said(file: Gguf, key: str, default: str = "") -> str:
    return str(file.metadata.get(_PREFIX + key, default))


def _vocabulary(file: Gguf) -> _Vocabulary:
    tokens = _texts(file, "tokens")
    types = file.array(_PREFIX + "token_type") or [1] * len(tokens)
    if len(types) != len(tokens):
        raise ModelFileError(f"the GGUF file's tokenizer is damaged: {len(tokens)} tokens, {len(types)} token types")
    ids = {token: at for at, token in reversed(list(enumerate(tokens)))}
    return _Vocabulary(tokens, types, ids)


def _texts(file: Gguf, key: str) -> list[str]:
    values = file.array(_PREFIX + key)
    if not values or not isinstance(values[0], bytes):
        raise ModelFileError(f"the GGUF file's tokenizer is damaged: it has no {_PREFIX}{key}")
    return [value.decode(errors="replace") for value in values]


def _byte_level_bpe(vocabulary: _Vocabulary, file: Gguf) -> Any:
    name = _said(file, "pre", "default")
    cutting = CUTTINGS.get(name)
    if cutting is None:
        raise ModelFileError(f"the GGUF file's tokenizer cuts words in the way {name!r}, which is not known here")
    bpe, cut = library().models.BPE, library().pre_tokenizers
    model = bpe(vocab=vocabulary.ids, merges=_listed_merges(file), ignore_merges=cutting.whole)
    tokenizer = library().Tokenizer(model)
    splits = [cut.Split(library().Regex(expression), "isolated") for expression in cutting.expressions]
    tokenizer.pre_tokenizer = cut.Sequence([*splits, cut.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


def _listed_merges(file: Gguf) -> list[tuple[str, str]]:
    return [_pair(merge) for merge in _texts(file, "merges")]


def _pair(merge: str) -> tuple[str, str]:
    """The two halves of a merge: parted by the first space that is not its first character."""
    at = merge.find(" ", 1)
    if at < 0:
        raise ModelFileError("the GGUF file's tokenizer is damaged: a merge is not of two parts")
    return merge[:at], merge[at + 1 :]


def _sentencepiece_bpe(vocabulary: _Vocabulary, file: Gguf) -> Any:
    scores = file.array(_PREFIX + "scores")
    if len(scores) != len(vocabulary.tokens):
        raise ModelFileError("the GGUF file's tokenizer is damaged: its tokens have no scores")
    tokenizer = _unescaped(vocabulary, _merges(vocabulary, scores))
    if file.metadata.get(_PREFIX + "add_space_prefix", True):
        normalizers = library().normalizers
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), tokenizer.normalizer])
    return tokenizer


def _gemma4_bpe(vocabulary: _Vocabulary, file: Gguf) -> Any:
    return _unescaped(vocabulary, _listed_merges(file))


def _unescaped(vocabulary: _Vocabulary, merges: list[tuple[str, str]]) -> Any:
    """BPE on whole texts with SentencePiece's sign for spaces; what has no token becomes bytes."""
    unknown = next((vocabulary.tokens[at] for at in vocabulary.of_type(_UNKNOWN)), None)
    bpe = library().models.BPE
    tokenizer = library().Tokenizer(
        bpe(vocab=vocabulary.ids, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = library().normalizers.Replace(" ", SPACE)
    return tokenizer


def _merges(vocabulary: _Vocabulary, scores: list[float]) -> list[tuple[str, str]]:
    """Merges that do as SentencePiece's scores say: of the pairs that make a token, the best-scored token first."""
    ids = vocabulary.ids
    skipped = set(vocabulary.of_type(_UNKNOWN, _CONTROL, _BYTE))
    ranked = sorted((at for at in ids.values() if at not in skipped), key=lambda at: (-scores[at], at))
    _check_lengths([vocabulary.tokens[at] for at in ranked])
    merges: list[tuple[str, str]] = []
    for token in (vocabulary.tokens[at] for at in ranked):
        pairs = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        merges.extend(pair for pair in pairs if pair[0] in ids and pair[1] in ids)
        if len(merges) > _MAX_MERGES:
            raise ModelFileError(f"the GGUF file's tokenizer is damaged: over {_MAX_MERGES:,} pairs of tokens merge")
    return merges


def _check_lengths(tokens: list[str]) -> None:
    """Raises `ModelFileError` for tokens that are too long to be cut everywhere."""
    longest, all = max(map(len, tokens), default=0), sum(map(len, tokens))
    if longest > MAX_LENGTH or all > _MAX_CHARACTERS:
        raise ModelFileError(
            f"the GGUF file's tokenizer is damaged: a token has {longest:,} characters, and all have {all:,}; "
            f"{MAX_LENGTH} and {_MAX_CHARACTERS:,} are read"
        )


def _add_tokens(tokenizer: Any, vocabulary: _Vocabulary, model: str) -> None:
    """Tokens that are found in a text before anything else is done to it."""
    make = library().AddedToken
    swallow = "phi-3" in model.lower() or "phi3" in model.lower()
    for special, types in ((True, (_UNKNOWN, _CONTROL)), (False, (_USER_DEFINED,))):
        named = [vocabulary.tokens[at] for at in vocabulary.of_type(*types)]
        added = [make(name, normalized=False, rstrip=swallow and name not in _NOT_SWALLOWING) for name in named if name]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)


def _pieces(vocabulary: _Vocabulary, kind: str) -> list[bytes]:
    decode = byte_level if kind == "gpt2" else sentencepiece
    literal = {_CONTROL, _UNKNOWN, _USER_DEFINED}
    return [
        plain(token) if type_ in literal else decode(token)
        for token, type_ in zip(vocabulary.tokens, vocabulary.types, strict=True)
    ]


_BUILDERS = {"gpt2": _byte_level_bpe, "llama": _sentencepiece_bpe, "gemma4": _gemma4_bpe}
