"""Tokens back to text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, trainers

from penstock.runtimes.generation.detokenizer import Detokenizer, adds_space, whole
from penstock.runtimes.generation.tokenizers.fast import FastTokenizer
from penstock.runtimes.generation.tokenizers.files import of_file
from tests.runtimes.generation.words import tokenizer


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> FastTokenizer:
    """A BPE over text in which a space is ▁ and every text begins with one; what it does not know is bytes."""
    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    trainer = trainers.BpeTrainer(vocab_size=64, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    made.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 8, trainer)
    path = tmp_path_factory.mktemp("sentencepiece") / "tokenizer.json"
    described = json.loads(made.to_str())
    vocabulary = described["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    described["model"]["byte_fallback"] = True
    path.write_text(json.dumps(described))
    return of_file(path)


def fed(made: Detokenizer, tokens: list[int]) -> list[str]:
    return [*[made.feed(token) for token in tokens], made.end()]


@given(st.text(max_size=30))
@settings(max_examples=200, deadline=None)
def test_text_comes_back_as_it_was(text: str) -> None:
    tokens = tokenizer().encode(text, special=False)
    parts = fed(Detokenizer(tokenizer().pieces()), tokens)
    assert "".join(parts) == text == whole(tokenizer().pieces(), tokens)
    assert parts[-1] == ""


def test_a_character_comes_with_its_last_byte() -> None:
    tokens = tokenizer().encode("🦊")
    assert len(tokens) > 1
    assert fed(Detokenizer(tokenizer().pieces()), tokens) == [*[""] * (len(tokens) - 1), "🦊", ""]


def test_bytes_that_are_no_character() -> None:
    pieces = [b"\xf0", b"\x9f", b"a", b"\xff"]
    assert fed(Detokenizer(pieces), [0, 1, 2]) == ["", "", "\ufffda", ""]
    assert fed(Detokenizer(pieces), [3, 0]) == ["\ufffd", "", "\ufffd"]


def test_hidden_and_unknown_tokens_are_no_text() -> None:
    hidden = tokenizer().control
    (end,) = tokenizer().encode("</s>")
    tokens = [*tokenizer().encode("fox"), end, 10**6, -1, *tokenizer().encode("dog")]
    assert "".join(fed(Detokenizer(tokenizer().pieces(), hidden), tokens)) == "foxdog"
    assert fed(Detokenizer([b"\xf0", b""], frozenset([1])), [0, 1]) == ["", "\ufffd", ""]


def test_the_first_space_of_sentencepiece(sentencepiece: FastTokenizer) -> None:
    assert adds_space(sentencepiece)
    assert not adds_space(tokenizer())
    tokens, pieces = sentencepiece.encode("the fox 🦊"), sentencepiece.pieces()
    assert "".join(fed(Detokenizer(pieces, strip=True), tokens)) == "the fox 🦊" == whole(pieces, tokens, strip=True)
    assert "".join(fed(Detokenizer(pieces), tokens)) == " the fox 🦊"
