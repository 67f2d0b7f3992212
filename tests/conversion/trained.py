"""A small classifier of DistilBERT's shape, trained on sentences that are made up for it."""

from __future__ import annotations

import functools
import itertools
import random
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from tests.conversion import folders
from tests.runtimes.text import tiny

LABELS = ("kitchen", "garden", "travel")
_THINGS = (
    ("kettle", "pan", "oven", "spoon", "plate"), ("rose", "spade", "hedge", "lawn", "seed"),
    ("ticket", "hotel", "train", "passport", "suitcase"),
)  # fmt: skip
_BEGINNINGS = ("where is the", "i need a new", "she sold her old", "how much is this", "nobody has seen our", "the")
_ENDINGS = ("again", "for my mother", "before the weekend", "which is red", "please", "", "in a small box by the door")
_NOISE = ("the garden", "the kitchen", "the train")
TEST_ROWS = 150


class Trained(NamedTuple):
    """A folder, the network in it, and rows that it was not trained on, with their labels."""

    folder: Path
    module: Any
    texts: list[str]
    labels: list[str]


def rows() -> list[tuple[str, str]]:
    """Sentences with their labels, shuffled; now and then one mentions another place."""
    source = random.Random(0)
    found = []
    for label, things in zip(LABELS, _THINGS, strict=True):
        for parts in itertools.product(_BEGINNINGS, things, _ENDINGS):
            aside = f" near {source.choice(_NOISE)}" if source.random() < 0.3 else ""
            found.append((" ".join(filter(None, parts)) + aside, label))
    source.shuffle(found)
    return found


@functools.cache
def shared(place: Path) -> Trained:
    """The classifier in a folder of that place, trained once for all tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train(place / "places")


def train(folder: Path, steps: int = 40) -> Trained:
    """Trains for a few seconds, and saves as transformers does."""
    import torch
    import transformers

    torch.manual_seed(0)
    known = rows()
    training, testing = known[TEST_ROWS:], known[:TEST_ROWS]
    words = tiny.wordpiece([text for text, _ in training], 400)
    config = transformers.DistilBertConfig(
        vocab_size=words.get_vocab_size(), dim=64, n_layers=2, n_heads=4, hidden_dim=128, max_position_embeddings=64,
        num_labels=len(LABELS), pad_token_id=0, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0,
    )  # fmt: skip
    module = transformers.DistilBertForSequenceClassification(config).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3)
    for step in range(steps):
        batch = [training[(step * 32 + at) % len(training)] for at in range(32)]
        loss = module(
            **encoded(words, [text for text, _ in batch]),
            labels=torch.tensor([LABELS.index(label) for _, label in batch]),
        ).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folders.save(folder, module.eval(), words, LABELS)
    return Trained(folder, module, [text for text, _ in testing], [label for _, label in testing])


def encoded(words: Any, texts: list[str]) -> dict[str, Any]:
    """Ids and mask of some texts, as torch takes them."""
    import torch

    found = words.encode_batch(texts)
    longest = max(len(each) for each in found)
    ids = [each.ids + [0] * (longest - len(each)) for each in found]
    mask = [[1] * len(each) + [0] * (longest - len(each)) for each in found]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
