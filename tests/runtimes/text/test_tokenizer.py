"""Tokenizers: cut as their own library cuts, and refused when they are damaged or another model's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.errors import ModelFileError
from penstock.runtimes.text.tokenizer import open_tokenizer
from penstock.runtimes.text.truncation import cut_ids, kept, longest_first
from tests.runtimes.text import tiny

MAKERS = {"wordpiece": cache(tiny.wordpiece), "bytes": cache(tiny.byte_bpe)}
WORDS = st.lists(st.sampled_from(["water", "fox", "größe", "[SEP]", "</s>", "🙂", "bank,"]), max_size=20).map(" ".join)


@settings(deadline=None)
@given(st.sampled_from(sorted(MAKERS)), WORDS, st.none() | WORDS, st.integers(4, 40))
def test_cut_as_the_library_cuts(name: str, text: str, pair: str | None, limit: int) -> None:
    tokenizer = MAKERS[name]()
    whole = tokenizer.encode(text, pair)
    tokenizer.enable_truncation(limit)
    try:
        wanted = tokenizer.encode(text, pair)
    finally:
        tokenizer.no_truncation()
    stay = kept(whole.sequence_ids, limit)
    for attribute in ("ids", "type_ids", "offsets"):
        values = getattr(whole, attribute)
        assert [values[at] for at in stay] == getattr(wanted, attribute)


def test_room_is_shared_by_two_texts() -> None:
    assert longest_first(10, 3, 20) == (10, 3)
    assert longest_first(10, 3, 9) == (6, 3)
    assert longest_first(3, 10, 9) == (3, 6)
    assert longest_first(10, 10, 9) == (4, 5)
    assert longest_first(10, 0, 4) == (4, 0)


def test_token_ids_keep_their_last_special() -> None:
    assert cut_ids([2, 7, 8, 9, 3], 3, {2, 3}) == [2, 7, 3]
    assert cut_ids([7, 8, 9], 2, {2, 3}) == [7, 8]
    assert cut_ids([7, 8], 2, {2, 3}) == [7, 8]


def saved(folder: Path, tokenizer: Any) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_padding_and_truncation_of_the_file_are_not_obeyed(tmp_path: Path) -> None:
    tokenizer = tiny.wordpiece()
    tokenizer.enable_padding(length=20, pad_id=4)
    tokenizer.enable_truncation(5)
    found = open_tokenizer(saved(tmp_path, tokenizer), 0)
    assert [len(each) for each in found.encode(["water " * 9, "fox"], False)] == [11, 3]
    assert found.pad == 4


def test_what_it_knows_of_itself(tmp_path: Path) -> None:
    piece = open_tokenizer(saved(tmp_path, tiny.wordpiece()), 0)
    assert (piece.pad, piece.mask, piece.typed) == (0, (4, "[MASK]"), False)
    assert piece.specials == {0, 1, 2, 3, 4}
    raw = open_tokenizer(saved(tmp_path, tiny.byte_bpe()), 0)
    assert (raw.pad, raw.mask, raw.typed, raw.size) == (1, (4, "<mask>"), False, 330)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is missing"):
        open_tokenizer(tmp_path / "tokenizer.json", 0)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "Magic"}}', "half"])
def test_damaged(tmp_path: Path, content: str) -> None:
    path = saved(tmp_path, tiny.wordpiece())
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ModelFileError, match=r"cannot read tokenizer\.json") as refusal:
        open_tokenizer(path, 0)
    assert str(tmp_path) not in refusal.value.message


def test_another_models(tmp_path: Path) -> None:
    path = saved(tmp_path, tiny.wordpiece())
    size = tiny.wordpiece().get_vocab_size()
    open_tokenizer(path, size)
    with pytest.raises(ModelFileError, match=f"do not belong together.* {size} tokens.* {size - 1}"):
        open_tokenizer(path, size - 1)
