"""From a request's texts to rows of token ids; every row that cannot be read is refused by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from penstock.core import text as words
from penstock.core.errors import BadInput, BadRows, ConfigError
from penstock.core.tensors import Array
from penstock.runtimes.text.tokenizer import Tokenizer
from penstock.runtimes.text.truncation import cut_ids, kept

MAX_BYTES = 2**20
TOGETHER = 2**20
Span = tuple[int, int]
Source = str | tuple[str, str]


class Row(NamedTuple):
    """What the model reads for one row.

    `types`: of its tokens, where any is not 0. `text`: what was sent; None where token ids were. `spans`: where in
    `text` each token lies, None for special tokens; only for models that answer about places.
    """

    ids: Sequence[int]
    types: Sequence[int] | None = None
    truncated: bool = False
    text: str | None = None
    spans: Sequence[Span | None] | None = None


class Reader:
    """Tokenizes a batch at once. `pairs`: a row must be two texts. `places`: rows know where their tokens lie.

    Raises `ConfigError` when the model's `max_length` holds nothing but special tokens.
    """

    def __init__(self, tokenizer: Tokenizer, model: words.TextModel, *, pairs: bool, places: bool):
        self._tokenizer = tokenizer
        self._model = model
        self._pairs = pairs
        self._places = places
        self._limit = model.vocab_size or tokenizer.size
        specials = tokenizer.special_count(pair=True)
        if model.max_length <= specials:
            raise ConfigError(f"max_length: {model.max_length} leaves no room beside {specials} special tokens")

    def read(self, inputs: dict[str, Array]) -> list[Row]:
        """All rows, in order. Raises `BadRows` with the reason for each row that cannot be read."""
        rows = len(inputs[words.TEXT])
        found: dict[int, Row] = {}
        refused: dict[int, str] = {}
        cut = inputs[words.TRUNCATE].tolist() if words.TRUNCATE in inputs else [self._model.truncate] * rows
        sources: dict[int, Source] = {}
        for row, (text, pair, ids) in enumerate(_columns(inputs, rows)):
            with _Refusing(row, refused):
                if ids:
                    found[row] = self._given(ids, text, pair, cut[row])
                else:
                    sources[row] = self._source(text, pair)
        self._encode(sources, cut, found, refused)
        if refused:
            raise BadRows(dict(sorted(refused.items())))
        return [found[row] for row in range(rows)]

    def _encode(self, sources: dict[int, Source], cut: list[bool], found: dict[int, Row],
                refused: dict[int, str]) -> None:  # fmt: skip
        """Adds the rows that came as texts, tokenized together."""
        for part in _parts(sources):
            encodings = self._tokenizer.encode([self._cased(sources[row]) for row in part], self._places)
            for row, encoding in zip(part, encodings, strict=True):
                with _Refusing(row, refused):
                    found[row] = self._encoded(encoding, sources[row], cut[row])

    def _source(self, text: bytes, pair: bytes | None) -> Source:
        """A row's text or texts."""
        first = self._model.prompt + decode(text)
        if pair is not None:
            return first, decode(pair)
        if self._pairs:
            raise BadInput("this model compares two texts: send text and text_pair")
        return first

    def _cased(self, source: Source) -> Source:
        if not self._model.lower_case:
            return source
        return lower(source) if isinstance(source, str) else (lower(source[0]), lower(source[1]))

    def _given(self, raw: bytes, text: bytes, pair: bytes | None, cut: bool) -> Row:
        """A row that came as token ids."""
        if text or pair:
            raise BadInput("send a text or token ids, not both")
        ids = ids_of(raw, self._limit)
        if len(ids) <= self._model.max_length:
            return Row(ids)
        if not cut:
            raise self._too_long(len(ids), "the input")
        return Row(cut_ids(ids, self._model.max_length, self._tokenizer.specials), truncated=True)

    def _encoded(self, encoding: Any, source: Source, cut: bool) -> Row:
        count, pair = len(encoding), isinstance(source, tuple)
        if not count:
            raise BadInput("the text has no tokens; send one that is not empty")
        types = encoding.type_ids if pair or self._tokenizer.typed else None
        spans = _spans(encoding) if self._places else None
        text = source if isinstance(source, str) else None
        if count <= self._model.max_length:
            return Row(encoding.ids, types, text=text, spans=spans)
        if not cut:
            raise self._too_long(count, "the pair" if pair else "the text")
        stay = kept(encoding.sequence_ids, self._model.max_length)
        return Row(_at(encoding.ids, stay), types and _at(types, stay), True, text, spans and _at(spans, stay))

    def _too_long(self, count: int, what: str) -> BadInput:
        return BadInput(
            f"{what} has {count} tokens, the model reads at most {self._model.max_length}; "
            "shorten it, or send truncate: true"
        )


class _Refusing:
    """Notes why a row is refused, and goes on. A plain class: contextlib's costs several times as much."""

    def __init__(self, row: int, refused: dict[int, str]):
        self._row = row
        self._refused = refused

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if isinstance(error, BadInput):
            self._refused[self._row] = error.message
            return True
        return False


def _columns(inputs: dict[str, Array], rows: int) -> Any:
    """Text, pair (None where the request has none) and token ids of every row."""
    pairs = inputs[words.PAIR].tolist() if words.PAIR in inputs else [None] * rows
    ids = inputs[words.TOKEN_IDS].tolist() if words.TOKEN_IDS in inputs else [b""] * rows
    return zip(inputs[words.TEXT].tolist(), pairs, ids, strict=True)


def _parts(sources: dict[int, Source]) -> Iterator[list[int]]:
    """Rows whose texts are tokenized together: not too much at once, as tokens take a hundred times the room."""
    part: list[int] = []
    size = 0
    for row, source in sources.items():
        length = len(source) if isinstance(source, str) else len(source[0]) + len(source[1])
        if part and size + length > TOGETHER:
            yield part
            part, size = [], 0
        part.append(row)
        size += length
    if part:
        yield part


def _at(values: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    return [values[position] for position in positions]


def _spans(encoding: Any) -> list[Span | None]:
    places = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [None if special else span for span, special in places]


def decode(text: bytes) -> str:
    """A row's text. Raises `BadInput` when it is too long to be looked at, or not UTF-8."""
    if len(text) > MAX_BYTES:
        raise BadInput(f"the text has {len(text)} bytes, at most {MAX_BYTES} are read; shorten it")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise BadInput("the text is not valid UTF-8") from error


def lower(text: str) -> str:
    """Lower case, every character in its place (one of them has a lower case of two)."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c.lower()[0] for c in text)


def ids_of(raw: bytes, limit: int) -> list[int]:
    """Token ids from little-endian int32. Raises `BadInput` for one that is not below `limit`."""
    if len(raw) % 4:
        raise BadInput(f"token ids take 4 bytes each, got {len(raw)} bytes")
    ids = np.frombuffer(raw, "<i4")
    strange = ids[(ids < 0) | (ids >= limit)]
    if len(strange):
        raise BadInput(f"token id {strange[0]} is out of range: the model knows 0 to {limit - 1}")
    found: list[int] = ids.tolist()
    return found
