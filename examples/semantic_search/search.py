"""Semantic search: a model that asks another model of the same server for embeddings.

    query → embedding model (over HTTP) → usearch index → the nearest products

One request to this model is one request to the embedding model, however many queries came together in the batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import penstock

EMBEDDINGS = "minilm"
HITS = 10
FIELDS = ("id", "title", "description", "category", "price")
PATIENCE_S = 60.0
QUERY_MS = 5_000
"""Less than this model's own timeout_ms: when embeddings hang, callers hear of it, and nobody kills this worker."""

Array = np.ndarray[Any, Any]


class Search(penstock.Model):
    """Finds products by meaning."""

    def load(self) -> None:
        """Embeds the catalogue, or takes its embeddings from the last time, and builds the index."""
        from usearch.index import Index

        # $PENSTOCK_URL is set by the server that this worker belongs to; connections are kept and used again.
        self.server = penstock.Client()
        catalogue = (Path(__file__).parent / "catalogue.jsonl").read_bytes()
        self.products = [json.loads(line) for line in catalogue.splitlines()]
        vectors = self.catalogue_embeddings(hashlib.sha256(catalogue).hexdigest())
        self.index = Index(ndim=vectors.shape[1], metric="ip", dtype="f32")
        self.index.add(np.arange(len(vectors)), vectors)

    def predict(self, queries: list[str]) -> dict[str, list[Any]]:
        """For each query the ids, titles, descriptions, categories, prices and scores of ten products."""
        found = self.index.search(self.embed(queries, QUERY_MS), HITS)
        rows = [[self.products[int(key)] for key in keys] for keys in np.atleast_2d(found.keys)]
        answer = {field: [[product[field] for product in row] for row in rows] for field in FIELDS}
        # usearch's distance is 1 - inner product, and the embeddings have length one: this is their cosine.
        return {**answer, "score": (1 - np.atleast_2d(found.distances)).tolist()}

    def embed(self, texts: list[str], timeout_ms: float) -> Array:
        """Embeddings, [texts, dimensions], of length one. Raises `penstock.Unavailable` while there are none."""
        try:
            inputs = {"text": np.array(texts, dtype=object)}
            answer = self.server.infer(EMBEDDINGS, inputs, outputs=["embedding"], timeout_ms=timeout_ms)
        except (penstock.Unavailable, penstock.DeadlineExceeded) as error:
            raise penstock.Unavailable("the embedding model does not answer; try again shortly") from error
        return answer["embedding"]

    # --- the catalogue's embeddings

    def catalogue_embeddings(self, digest: str) -> Array:
        """Embeddings of all products, [products, dimensions]; kept on disk for the next start."""
        texts = [f"{p['title']} ({p['category']}). {p['description']}" for p in self.products]
        first = self.embed_patiently(texts[:1])
        file = cache_folder() / f"{digest[:16]}.npy"
        if file.exists():
            kept: Array = np.load(file)
            # Made by the same model, at the same precision? Then it still says the same of the first product.
            if kept.shape == (len(texts), first.shape[1]) and float(kept[0] @ first[0]) > 0.9999:
                return kept
        vectors = self.embed(texts, PATIENCE_S * 1000)
        keep(file, vectors)
        return vectors

    def embed_patiently(self, texts: list[str]) -> Array:
        """The same as `embed`, for a server that may just be starting."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.embed(texts, QUERY_MS)
            except penstock.Unavailable:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)


def cache_folder() -> Path:
    """Where embeddings are kept between starts: in Penstock's model cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PENSTOCK_CACHE") or Path(root) / "penstock") / "semantic_search"


def keep(file: Path, vectors: Array) -> None:
    """Writes an array at once or not at all: other replicas may be reading."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.stem}.{os.getpid()}.tmp.npy")
    np.save(new, vectors)
    new.replace(file)
