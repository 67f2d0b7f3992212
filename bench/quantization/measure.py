"""The quantization part: `penstock quantize`, model by model and precision by precision."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contestant import Absent
from bench.field import say
from bench.penstock import command
from bench.quantization import classifier, digits
from bench.results import Quantized
from bench.text.material import minilm

MINILM = "MiniLM (embeddings)"
REVIEWS = "classifier of reviews (DistilBERT's shape)"
DIGITS = "digits (scikit-learn's MLP as ONNX)"
CATALOGUE = Path(__file__).parents[2] / "examples" / "semantic_search" / "catalogue.jsonl"

# The way as a person names it, and what it says to `penstock quantize`.
_WAYS = {
    "int8, calibrated": ["--precision", "int8"],
    "int8, dynamic": ["--precision", "int8", "--dynamic"],
    "bf16": ["--precision", "bf16"],
    "fp16": ["--precision", "fp16"],
    "int4": ["--precision", "int4"],
}
_REVIEWS = 1500
_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Source:
    """A model and the rows that calibrate it and judge it."""

    name: str
    model: Path
    data: Path


def measure(folder: Path, seconds: float) -> list[Quantized]:
    """Every way for every model; `seconds`: how long the speed of each is measured. What is refused says why."""
    found = []
    for source in sources(folder):
        for way, words in _WAYS.items():
            found.append(quantize(source, way, words, folder, seconds))
            _tell(found[-1])
    return found


def sources(folder: Path) -> Iterator[Source]:
    """The models, each made when its turn comes."""
    yield Source(MINILM, minilm(), write_catalogue(folder / "catalogue.txt"))
    reviews, texts = folder / "reviews", folder / "reviews.jsonl"
    classifier.write(reviews, texts, _REVIEWS)
    yield Source(REVIEWS, reviews, texts)
    model, pixels = folder / "digits.onnx", folder / "digits.npz"
    digits.write(model, pixels)
    yield Source(DIGITS, model, pixels)


def write_catalogue(path: Path) -> Path:
    """The products of the example's shop, one text per line."""
    if not CATALOGUE.exists():
        raise Absent(f"no {CATALOGUE.name} in the example of semantic search")
    products = [json.loads(line) for line in CATALOGUE.read_text().splitlines()]
    path.write_text("".join(f"{product['title']}. {product['description']}\n" for product in products))
    return path


def quantize(source: Source, way: str, words: list[str], folder: Path, seconds: float) -> Quantized:
    """One run of the command. It writes whatever the loss: the table is there to show it."""
    out = folder / f"quantized-{len(list(folder.iterdir()))}"
    argv = [*command(), "quantize", str(source.model), *words, "--data", str(source.data), "--out", str(out)]
    argv += ["--seconds", f"{seconds:g}", "--force", "--json"]
    environment = {**os.environ, "PENSTOCK_CACHE": str(folder / "cache")}
    ended = subprocess.run(
        argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, env=environment, cwd=folder
    )
    if ended.returncode != 0:
        return Quantized(source.name, way, refused=_last(ended.stderr))
    report: dict[str, Any] = json.loads(ended.stdout)["report"]
    return Quantized(source.name, way, report)


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["no word"])[-1].removeprefix("penstock: ")[:300]


def _tell(seen: Quantized) -> None:
    what = seen.refused or f"loss {seen.report['measured']['quality']['loss']:.2%}"
    say(f"{seen.model}, {seen.way}: {what}")
