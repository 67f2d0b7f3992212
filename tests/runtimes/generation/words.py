"""A small real tokenizer, trained in the test: byte-level BPE whose tokens split emoji and accents."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from penstock.runtimes.generation.tokenizers.fast import FastTokenizer
from penstock.runtimes.generation.tokenizers.files import of_file

CONTROL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "[ARGS]", "<|python_tag|>"]
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
TEXT = [
    "the quick brown fox jumps over the lazy dog. Zoë says: naïve café, 12 + 30 = 42!",
    '{"name": "weather", "arguments": {"city": "Oslo", "days": 3}} {"name": "add", "parameters": {"a": 1}}',
]


@cache
def tokenizer() -> FastTokenizer:
    """The tokenizer; `<s>` is 0, `</s>` 1. Emoji are not in its training text, so they are three or four tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXT * 4, trainer)
    made.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        made.save(str(path))
        return of_file(path)
