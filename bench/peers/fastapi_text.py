"""The usual service: FastAPI, a pydantic body, transformers and torch, a plain `def` endpoint, one text per request."""

from __future__ import annotations

import os

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModel, AutoTokenizer

app = FastAPI()
tokenizer = AutoTokenizer.from_pretrained(os.environ["TEXT_MODEL"])
model = AutoModel.from_pretrained(os.environ["TEXT_MODEL"]).eval()


class Query(BaseModel):
    """What to embed."""

    text: str


class Embedding(BaseModel):
    """The sentence's embedding, of length one."""

    embedding: list[float]


@app.post("/embed")
def embed(query: Query) -> Embedding:
    """Mean pooling over the tokens, normalized, as the model's card has it."""
    tokens = tokenizer(query.text, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    pooled = (states * mask).sum(1) / mask.sum(1)
    return Embedding(embedding=torch.nn.functional.normalize(pooled, dim=1)[0].tolist())
