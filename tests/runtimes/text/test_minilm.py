"""The real all-MiniLM-L6-v2: the same embeddings as transformers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import TextModel
from tests.runtimes.text.tiny import export, loaded, texts

SAID = (
    "red shoes for winter", "How do I reset the password of my account?", "", "Größe 42, schwarz", "東京タワー",
    "مرحبا بالعالم", "👟👟 sale!!", "a" * 150, "The turbine turns water into power. " * 20, "x",
)  # fmt: skip


def reference(folder: Path) -> tuple[object, Array]:
    """The network, and its own embeddings of the texts, one by one."""
    import torch
    import transformers

    network = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    vectors = []
    for text in SAID:
        with torch.no_grad():
            states = network(**tokenizer(text, return_tensors="pt", truncation=True)).last_hidden_state
        vectors.append(torch.nn.functional.normalize(states.mean(dim=1))[0].numpy())
    return network, np.stack(vectors)


def test_same_embeddings_as_transformers(minilm: Path, tmp_path: Path) -> None:
    network, wanted = reference(minilm)
    export(network, tmp_path / "m.onnx", ["input_ids", "attention_mask", "token_type_ids"], "last_hidden_state")
    model = TextModel(
        task="embedding", architecture="bert", tokenizer=str(minilm / "tokenizer.json"), max_length=512, normalize=True,
        vocab_size=30522,
    )  # fmt: skip
    spec = ModelSpec(
        name="minilm", runtime="text", path=str(tmp_path / "m.onnx"), format="onnx", threads=2,
        options=msgspec.to_builtins(model),
    )  # fmt: skip
    got = loaded(spec).run({"text": texts(SAID)})["embedding"]
    assert got.shape == (len(SAID), 384)
    assert ((got * wanted).sum(axis=1) >= 0.9999).all()
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-5)
