"""A small classifier of DistilBERT's shape, trained here on generated reviews: a Hugging Face folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.quantization.reviews import LABELS, reviews

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SHAPE: dict[str, Any] = {"dim": 192, "n_layers": 3, "n_heads": 4, "hidden_dim": 768, "max_position_embeddings": 128}
_TRAINED_ON, _BATCH, _EPOCHS, _RATE = 4000, 32, 3, 5e-4


def write(folder: Path, data: Path, rows: int) -> None:
    """The folder as `save_pretrained` leaves it, and a JSON Lines file of reviews that it was not trained on."""
    from transformers.utils import logging

    training, held_out = reviews(_TRAINED_ON, seed=1), reviews(rows, seed=2)
    tokenizer = _tokenizer([text for text, _ in training])
    model = _trained(tokenizer, training)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in held_out))


def _tokenizer(texts: list[str]) -> Any:
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast

    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator(texts, vocab_size=1000, special_tokens=list(_SPECIAL), show_progress=False)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _SPECIAL, strict=True))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=trained._tokenizer, model_max_length=128, **names
    )


def _trained(tokenizer: Any, rows: list[tuple[str, str]]) -> Any:
    import torch

    torch.manual_seed(0)
    model = _untrained(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    steps = _EPOCHS * -(-len(rows) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps, pct_start=0.15)
    model.train()
    for _ in range(_EPOCHS):
        for indices in torch.split(torch.randperm(len(rows)), _BATCH):
            batch = [rows[index] for index in indices.tolist()]
            optimizer.zero_grad()
            _loss(model, tokenizer, batch).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model.eval()


def _untrained(tokenizer: Any) -> Any:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    names = dict(enumerate(LABELS))
    config = DistilBertConfig(
        vocab_size=len(tokenizer), id2label=names, label2id={name: number for number, name in names.items()}, **_SHAPE
    )
    return DistilBertForSequenceClassification(config)


def _loss(model: Any, tokenizer: Any, batch: list[tuple[str, str]]) -> Any:
    import torch

    tokens = tokenizer([text for text, _ in batch], padding=True, return_tensors="pt")
    wanted = torch.tensor([LABELS.index(label) for _, label in batch])
    inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
    return model(**inputs, labels=wanted).loss
