"""Tokenizers of language models: a GGUF file's own and a folder's agree with the library that trained them."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.errors import ModelFileError
from penstock.runtimes.generation.tokenizers import of_file, of_gguf
from penstock.runtimes.generation.tokenizers.patterns import CUTTINGS
from tests.runtimes.generation.tokenizers import vocabularies as made

KINDS: dict[str, tuple[Callable[[], Any], str, dict[str, Any]]] = {
    "qwen2": (lambda: made.byte_level(made.QWEN2), "gpt2", {"pre": "qwen2"}),
    "llama3": (lambda: made.byte_level(made.LLAMA3), "gpt2", {"pre": "dbrx"}),
    "gpt2": (lambda: made.byte_level(None), "gpt2", {"pre": "gpt-2"}),
    "sentencepiece": (made.sentencepiece, "llama", {}),
}
SPECIAL = ["<|end|>", "<|user|>", "<call>", "<unk>", "<0x0A>", "▁"]
ODD = [
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\xa0",
    "\u3000",
    "\u200d",
    "\x00",
    "it's",
    "IT'LL",
    "e\u0301",
    "🙂",
    "1234567",
    "turns",
]
# Every one is made of others in up to 255 ways.
FAMILIES = [first + "a" * size for first in ("", *map(chr, range(0x4E00, 0x4E00 + 80))) for size in range(1, 256)]
TEXTS = st.lists(st.sampled_from(SPECIAL + ODD) | st.text(max_size=6), max_size=12).map("".join)


@cache
def both(kind: str) -> tuple[Any, Any, Any]:
    """The library's own, ours of its tokenizer.json, ours of the GGUF file."""
    make, model, keys = KINDS[kind]
    library, folder = make(), Path(mkdtemp())
    library.save(str(folder / "tokenizer.json"))
    path = made.write_gguf(folder / "model.gguf", library, model, **keys)
    return library, of_file(folder / "tokenizer.json"), of_gguf(path)


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_the_librarys(kind: str) -> None:
    library, of_folder, of_model = both(kind)

    @settings(deadline=None, max_examples=300)
    @given(TEXTS)
    def agree(text: str) -> None:
        wanted = library.encode(text, add_special_tokens=False).ids
        assert of_folder.encode(text) == wanted
        assert of_model.encode(text) == wanted

    agree()


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_make_the_text_again(kind: str) -> None:
    _, of_folder, of_model = both(kind)
    assert list(of_folder.pieces()) == list(of_model.pieces())
    before = b" " if kind == "sentencepiece" else b""

    @settings(deadline=None, max_examples=300)
    @given(st.lists(st.sampled_from(ODD) | st.text(max_size=6), max_size=12).map("".join).filter(str.strip))
    def again(text: str) -> None:
        pieces = of_model.pieces()
        raw = b"".join(pieces[at] for at in of_model.encode(text, special=False))
        assert raw == before + text.replace("▁", " " if before else "▁").encode()

    again()


@pytest.mark.parametrize("kind", KINDS)
def test_control_tokens_are_plain_text_when_asked(kind: str) -> None:
    library, *ours = both(kind)
    end = library.token_to_id("<|end|>")
    for tokenizer in ours:
        assert end in tokenizer.control
        assert end in tokenizer.encode("a<|end|>b")
        plain = tokenizer.encode("a<|end|>b", special=False)
        assert not tokenizer.control & set(plain)
        assert b"".join(tokenizer.pieces()[at] for at in plain).strip() == b"a<|end|>b"
        assert end in tokenizer.encode("a<|end|>b")


def test_long_texts_without_a_blank_take_no_time() -> None:
    for kind in KINDS:
        _, _, tokenizer = both(kind)
        assert len(tokenizer.encode("水a" * 50_000)) >= 50_000


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"pre": "of-tomorrow"}, "of-tomorrow"),
        ({"model": "bert"}, "'bert'"),
        ({"model": None}, "no tokenizer"),
        ({"merges": ["nothing of these"]}, "damaged"),
        ({"merges": ["alone"]}, "two parts"),
        ({"merges": None}, "tokenizer.ggml.merges"),
        ({"tokens": None}, "tokenizer.ggml.tokens"),
        ({"token_type": [1, 1]}, "2 token types"),
    ],
)
def test_refused_by_name(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    path = made.write_gguf(tmp_path / "model.gguf", both("gpt2")[0], "gpt2", **keys)
    with pytest.raises(ModelFileError, match=said):
        of_gguf(path)


def test_equal_tokens_keep_the_first_id(tmp_path: Path) -> None:
    library = both("gpt2")[0]
    tokens = [token for token, _ in sorted(library.get_vocab().items(), key=lambda item: item[1])]
    types = [3 if token in made.CONTROL else 1 for token in tokens]
    keys = {"tokens": [*tokens, "a"], "token_type": [*types, 1], "pre": "gpt-2"}
    tokenizer = of_gguf(made.write_gguf(tmp_path / "model.gguf", library, "gpt2", **keys))
    assert tokenizer.encode("a") == [tokens.index("a")]
    assert tokenizer.pieces()[-1] == b"a"


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = made.write_gguf(tmp_path / "model.gguf", both("gpt2")[0], "gpt2", pre="gpt-2").read_bytes()
    broken = tmp_path / "broken.gguf"
    for size in [0, 3, 8, 20, 100, len(whole) // 2]:
        broken.write_bytes(whole[:size])
        with pytest.raises(ModelFileError):
            of_gguf(broken)


def test_lengths_of_a_hostile_file_are_not_believed(tmp_path: Path) -> None:
    whole = bytearray(made.write_gguf(tmp_path / "model.gguf", both("gpt2")[0], "gpt2", pre="gpt-2").read_bytes())
    broken = tmp_path / "broken.gguf"
    for at in range(8, 400):
        damaged = whole.copy()
        damaged[at : at + 8] = b"\xff" * 8
        broken.write_bytes(damaged)
        try:
            of_gguf(broken)
        except ModelFileError:
            continue


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": {"type": "WordPiece"}}', "\udcff"])
def test_damaged_tokenizer_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ModelFileError, match=r"tokenizer\.json"):
        of_file(path)


def test_tokens_that_are_too_long_to_be_cut(tmp_path: Path) -> None:
    """One of a megabyte; some of hundreds of characters; and so many that are made of each other that their pairs are
    millions."""
    for tokens in (["a" * 2**20], ["a" * size for size in range(1, 1000)], FAMILIES):
        keys = {"tokens": tokens, "token_type": [1] * len(tokens), "scores": [0.0] * len(tokens), "merges": None}
        path = made.write_gguf(tmp_path / "model.gguf", both("sentencepiece")[0], "llama", **keys)
        begun = time.perf_counter()
        with pytest.raises(ModelFileError, match=r"characters, and all have|pairs of tokens merge"):
            of_gguf(path)
        assert time.perf_counter() - begun < 30


def test_the_longest_tokens_that_are_read(tmp_path: Path) -> None:
    tokens = ["<unk>", "a", *("a" * 2**power for power in range(1, 9))]
    keys = {"tokens": tokens, "token_type": [2, *[1] * 9], "scores": [0.0] * 10, "merges": None}
    path = made.write_gguf(tmp_path / "m.gguf", both("sentencepiece")[0], "llama", add_space_prefix=False, **keys)
    assert of_gguf(path).encode("a" * 259) == [9, 2, 1]


def test_a_missing_tokenizer_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="missing beside it"):
        of_file(tmp_path / "tokenizer.json")


def test_vocabularies_of_other_kinds_are_refused(tmp_path: Path) -> None:
    import tokenizers

    other = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    other.decoder = tokenizers.decoders.WordPiece()
    other.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelFileError, match="WordPiece"):
        of_file(tmp_path / "tokenizer.json")


def test_every_way_to_cut_is_a_regular_expression() -> None:
    import tokenizers

    for name, cutting in CUTTINGS.items():
        for expression in cutting.expressions:
            split = tokenizers.pre_tokenizers.Split(tokenizers.Regex(expression), "isolated")
            parts = [part for part, _ in split.pre_tokenize_str("It's 12345 turns,\n\n  naïve 水車🙂 x_Y")]
            assert "".join(parts) == "It's 12345 turns,\n\n  naïve 水車🙂 x_Y", name
