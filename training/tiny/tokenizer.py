"""The tokenizer: byte-level BPE of 1,024 tokens, of which seven are control tokens; digits stand alone.

The pattern that splits text is Qwen2's, which readers of GGUF files know by the name "qwen2".
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training.tiny import grammar

SIZE = 1024
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MARKS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]


def added() -> list[AddedToken]:
    """The control tokens, which decoding leaves out, and the marks, which it shows."""
    hidden = [AddedToken(text, normalized=False, special=True) for text in CONTROL]
    return hidden + [AddedToken(text, normalized=False, special=False) for text in MARKS]


def texts(documents: int, seed: int) -> Iterator[str]:
    """What the pairs are counted in: documents, cut at their control tokens."""
    rng = random.Random(seed)
    cut = re.compile("|".join(re.escape(token) for token in CONTROL + MARKS))
    for _ in range(documents):
        yield from cut.split("".join(piece.text for piece in grammar.document(rng)))


def train(documents: int = 20000, seed: int = 1) -> Tokenizer:
    """Learn the pairs, then add the control tokens after them."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - len(CONTROL + MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(documents, seed), trainer)
    tokenizer.add_tokens(added())
    return tokenizer


def merges(tokenizer: Tokenizer) -> list[str]:
    """The pairs in the order they were learned, each as two texts with a space between."""
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]


def load(path: Path) -> Tokenizer:
    """The tokenizer of this file, trained and written there first where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train().save(str(path))
    return Tokenizer.from_file(str(path))
