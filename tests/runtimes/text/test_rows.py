"""Rows that cannot be read are refused by number, with the reason; everything that is text is read."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from penstock.core.errors import BadInput, BadRows
from penstock.runtimes.text.reading import lower
from tests.runtimes.text.tiny import LONGEST, Tiny, loaded, texts, token_ids


def refusals(runtime: Any, **inputs: Any) -> dict[int, str]:
    with pytest.raises(BadRows) as refusal:
        runtime.run(inputs)
    assert refusal.value.message == next(iter(refusal.value.reasons.values()))
    return refusal.value.reasons


def near(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


def test_too_long_names_both_numbers(embedder: Tiny) -> None:
    runtime = loaded(embedder.spec)
    reasons = refusals(runtime, text=texts(["water", "fox " * 100, "a", "fox " * 70]))
    assert reasons == {
        row: f"the text has {count} tokens, the model reads at most {LONGEST}; shorten it, or send truncate: true"
        for row, count in {1: 102, 3: 72}.items()
    }


def test_exactly_as_long_as_allowed(embedder: Tiny) -> None:
    got = loaded(embedder.spec).run({"text": texts(["fox " * (LONGEST - 2)])})
    assert (got["tokens"].tolist(), got["truncated"].tolist()) == ([LONGEST], [False])


def test_truncation_is_asked_for_row_by_row(embedder: Tiny) -> None:
    runtime, long = loaded(embedder.spec), "fox jumps over " * 40
    said = texts(["water", long])
    got = runtime.run({"text": said, "truncate": np.array([True, True])})
    assert got["truncated"].tolist() == [False, True]
    assert got["tokens"].tolist() == [len(embedder.tokenizer.encode("water")), LONGEST]
    cut = [*embedder.tokenizer.encode(long).ids[: LONGEST - 1], 3]
    near(got["embedding"][1], embedder.torch("", ids=cut)[0].mean(axis=0))
    assert list(refusals(runtime, text=said, truncate=np.array([True, False]))) == [1]


def test_truncation_by_setting_unless_the_request_says_no(embedder: Tiny) -> None:
    runtime, said = loaded(embedder.described(truncate=True)), texts(["fox " * 100])
    assert runtime.run({"text": said})["truncated"].tolist() == [True]
    assert list(refusals(runtime, text=said, truncate=np.array([False]))) == [0]


def test_pairs_are_cut_longest_first(classifier: Tiny) -> None:
    runtime = loaded(classifier.spec)
    first, second = texts(["fox jumps"]), texts(["water " * 100])
    reasons = refusals(runtime, text=first, text_pair=second)
    assert reasons[0].startswith("the pair has 10")
    got = runtime.run({"text": first, "text_pair": second, "truncate": np.array([True])})
    assert got["tokens"].tolist() == [LONGEST]
    room = LONGEST - len(classifier.tokenizer.encode("fox jumps", ""))
    wanted = classifier.torch("fox jumps", "water " * room)[0]
    powers = np.exp(wanted - wanted.max())
    near(got["scores"][0], powers / powers.sum())


def test_all_reasons_come_at_once_in_order(embedder: Tiny) -> None:
    size = embedder.tokenizer.get_vocab_size()
    ids = [b"", b"", b"", b"123", *(np.array(row, "<i4").tobytes() for row in ([size], [-1], [5]))]
    said = ["fox " * 100, b"\xff", b"a" * (2**20 + 1), "", "", "", "a word"]
    reasons = refusals(loaded(embedder.spec), text=texts(said), token_ids=texts(ids))
    assert list(reasons) == list(range(7))
    assert "102 tokens" in reasons[0]
    assert reasons[1] == "the text is not valid UTF-8"
    assert reasons[2] == "the text has 1048577 bytes, at most 1048576 are read; shorten it"
    assert reasons[3] == "token ids take 4 bytes each, got 3 bytes"
    assert reasons[4] == f"token id {size} is out of range: the model knows 0 to {size - 1}"
    assert reasons[5].startswith("token id -1 is out of range")
    assert reasons[6] == "send a text or token ids, not both"


def test_refused_before_anything_is_computed(embedder: Tiny) -> None:
    runtime = loaded(embedder.spec)
    good = runtime.run({"text": texts(["water"])})["embedding"]
    refusals(runtime, text=texts(["water", "fox " * 100]))
    assert runtime.run({"text": texts(["water"])})["embedding"].tolist() == good.tolist()


def test_token_ids_in_place_of_text(embedder: Tiny) -> None:
    runtime = loaded(embedder.spec)
    ids = [embedder.tokenizer.encode("water flows").ids, [7], [2, 8, 9, 3]]
    got = runtime.run({"text": texts(["", "", ""]), "token_ids": token_ids(ids)})
    assert got["tokens"].tolist() == [len(row) for row in ids]
    for row, each in enumerate(ids):
        near(got["embedding"][row], embedder.torch("", ids=each)[0].mean(axis=0))
    mixed = runtime.run({"text": texts(["", "water flows"]), "token_ids": texts([token_ids(ids[2:])[0], b""])})
    near(mixed["embedding"], got["embedding"][[2, 0]])


def test_too_many_token_ids(embedder: Tiny) -> None:
    runtime = loaded(embedder.spec)
    inputs = {"text": texts([""]), "token_ids": token_ids([[2, *[9] * 98, 3]])}
    assert refusals(runtime, **inputs)[0].startswith(f"the input has 100 tokens, the model reads at most {LONGEST};")
    got = runtime.run({**inputs, "truncate": np.array([True])})
    near(got["embedding"][0], embedder.torch("", ids=[2, *[9] * (LONGEST - 2), 3])[0].mean(axis=0))
    assert got["truncated"].tolist() == [True]


def test_pairs_where_the_model_takes_none_or_must(embedder: Tiny, reranker: Tiny) -> None:
    with pytest.raises(BadInput, match="one text at a time"):
        loaded(embedder.spec).run({"text": texts(["a"]), "text_pair": texts(["b"])})
    runtime = loaded(reranker.spec)
    required = {spec.name: not spec.optional for spec in runtime.signature.inputs}
    assert required == {"text": True, "text_pair": True, "token_ids": False, "truncate": False}
    assert refusals(runtime, text=texts(["a"])) == {0: "this model compares two texts: send text and text_pair"}


def test_lower_case_moves_no_character() -> None:
    assert lower("ÄİB ẞc") == "äib ßc"
    assert lower("AΣ") == "AΣ".lower()


def test_no_mask_to_fill(filler: Tiny) -> None:
    runtime = loaded(filler.spec)
    assert refusals(runtime, text=texts(["a <mask>", "none"])) == {1: "the text has no <mask> to fill in"}
    cut = {"text": texts(["fox " * 90 + "<mask>"]), "truncate": np.array([True])}
    assert refusals(runtime, **cut) == {0: "no <mask> is left after the cut"}


def test_a_text_without_a_token(filler: Tiny, tmp_path: Any) -> None:
    import tokenizers

    bare = tokenizers.Tokenizer.from_str(filler.tokenizer.to_str())
    bare.post_processor = tokenizers.processors.ByteLevel()
    bare.save(str(tmp_path / "bare.json"))
    runtime = loaded(filler.described(tokenizer=str(tmp_path / "bare.json"), task="fill-mask"))
    assert refusals(runtime, text=texts([""])) == {0: "the text has no tokens; send one that is not empty"}
    assert json.loads(runtime.run({"text": texts(["<mask>"])})["candidates"][0])


ODD = (
    "", "\0", "a\0b", "\x01\x1b[31m", "مرحبا بالعالم", "\u202eabc\u202c", "👩‍👩‍👧‍👦🇨🇭", "e\u0301", "\ufeff",
    "\U0010ffff", "\n\t ",
)  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_any_text_is_read(embedder: Tiny, filler: Tiny, text: str) -> None:
    got = loaded(embedder.spec).run({"text": texts([text])})
    near(got["embedding"][0], embedder.torch(text)[0].mean(axis=0))
    [answer] = loaded(filler.spec).run({"text": texts([f"{text}<mask>"])})["candidates"]
    assert len(json.loads(answer)[0]) == 5


@pytest.mark.parametrize("text", ["x" * 2**20, "fox " * 2**18, "\0" * 2**20, "日" * (2**20 // 3), "\U0001f642" * 2**18])
def test_a_megabyte_of_text(embedder: Tiny, filler: Tiny, text: str) -> None:
    got = loaded(embedder.spec).run({"text": texts([text, "a"]), "truncate": np.array([True, True])})
    assert np.isfinite(got["embedding"]).all()
    reasons = refusals(loaded(filler.spec), text=texts(["a <mask>", text]))
    assert f"the model reads at most {LONGEST};" in reasons[1]


def test_ten_thousand_texts(embedder: Tiny) -> None:
    said = [f"fox {number} " * (number % 12) for number in range(10_000)]
    started = time.perf_counter()
    got = loaded(embedder.spec).run({"text": texts(said)})["embedding"]
    assert time.perf_counter() - started < 60
    for row in (0, 17, 9_999):
        near(got[row], embedder.torch(said[row])[0].mean(axis=0))
