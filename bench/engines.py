"""`python -m bench.engines`: MiniLM's network alone on each engine, the figures behind docs/decisions/0002."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bench import machine
from bench.field import say
from bench.report import provenance, table
from bench.results import Results
from bench.sections import replace_section
from bench.text.checks import cosine
from bench.text.material import minilm
from bench.text.queries import Queries
from penstock.config.models import spec_of
from penstock.config.schema import ModelSettings
from penstock.core.errors import PenstockError
from penstock.core.text import TextModel
from penstock.runtimes.text.engines.choice import open_engine
from penstock.runtimes.text.engines.contract import Engine
from penstock.scheduling.fleet import thread_share

SHAPES = ((1, 16), (8, 16), (32, 16), (32, 32), (8, 128))
TORCH = "torch, fp32"
ENGINES: dict[str, dict[str, Any]] = {
    TORCH: {"options": {"engine": "torch"}},
    "ONNX Runtime, fp32": {"options": {"engine": "onnxruntime"}, "precision": "fp32"},
    "ONNX Runtime, int8, dynamic": {"options": {"engine": "onnxruntime"}, "precision": "int8"},
    "OpenVINO, fp32": {"precision": "fp32"},
    "OpenVINO, bf16": {"precision": "bf16"},
    "OpenVINO, int8, dynamic": {"precision": "int8"},
    "OpenVINO, int8, calibrated": {"precision": "int8", "calibration": "queries.txt"},
}
_PROBES = 64
# Shapes that no measurement runs: their first calls tell what a new shape costs.
_NEW_SHAPES = tuple((rows, 17) for rows in range(3, 10))

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def main() -> int:
    """Prints a table, and keeps it in a page if asked. What this machine cannot run is left out with the reason."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="seconds per shape (default: %(default)s)")
    parser.add_argument("--page", type=Path, help="a Markdown page whose section `engines` is to be replaced")
    options = parser.parse_args()
    where = machine.describe("none: the engines are called directly")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        os.environ["PENSTOCK_CACHE"] = str(Path(folder, "cache"))
        found = compare(Path(folder), options.seconds)
    print(found)
    if options.page is not None:
        said = provenance(Results(where, 1, options.seconds), [])
        replace_section(options.page, "engines", f"{said}\n\n{found}")
    return 0


def compare(folder: Path, seconds: float) -> str:
    """Texts per second at each shape, rows × tokens; what a new shape costs; how near the answers are to torch's."""
    queries = Queries(minilm() / "tokenizer.json", seed=2)
    (folder / "queries.txt").write_text("".join(f"{text}\n" for text in queries.take(300)))
    probes = queries.tokens(queries.take(_PROBES))
    rows, reference = [], None
    for name, settings in ENGINES.items():
        try:
            engine = opened(settings, folder)
        except PenstockError as reason:
            say(f"{name} is left out: {reason.message}")
            continue
        embeddings = [embedding(engine, ids) for ids in probes]
        reference = embeddings if name == TORCH else reference
        rows.append([name, *measured(engine, seconds), *likeness(embeddings, reference or embeddings)])
        say(" ".join(rows[-1]))
    head = ["texts/s", *(f"{rows_}×{length}" for rows_, length in SHAPES), "a new shape, ms", "cosine, least", "median"]
    return table(head, rows)


def opened(settings: dict[str, Any], folder: Path) -> Engine:
    """The engine with MiniLM in it, converted if need be, with as many threads as a worker alone has."""
    model = ModelSettings(source=str(minilm()), device="cpu", **settings)
    spec = msgspec.structs.replace(spec_of("minilm", model, folder, say), threads=thread_share(1))
    return open_engine(spec, msgspec.convert(spec.options, TextModel), 0)


def measured(engine: Engine, seconds: float) -> list[str]:
    """Texts per second at each shape, and how many milliseconds more the first call of a shape takes."""
    speeds = [f"{speed(engine, *shape, seconds):,.0f}" for shape in SHAPES]
    return [*speeds, f"{1e3 * median(surcharge(engine, *shape) for shape in _NEW_SHAPES):.1f}"]


def speed(engine: Engine, rows: int, length: int, seconds: float) -> float:
    """Texts per second, at one shape."""
    ids = tokens(rows, length)
    mask = np.ones_like(ids)
    for _ in range(3):
        engine.run(ids, mask, None)
    calls, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        engine.run(ids, mask, None)
        calls += 1
    return calls * rows / passed


def surcharge(engine: Engine, rows: int, length: int) -> float:
    """Seconds that the first call of a shape takes longer than the second."""
    first, second = (timed(engine, rows, length) for _ in range(2))
    return first - second


def timed(engine: Engine, rows: int, length: int) -> float:
    """Seconds of one call."""
    ids = tokens(rows, length)
    started = time.perf_counter()
    engine.run(ids, np.ones_like(ids), None)
    return time.perf_counter() - started


def tokens(rows: int, length: int) -> Ints:
    """Token ids by chance, between those that begin and end a text."""
    ids = np.random.default_rng(rows * 1000 + length).integers(1000, 28000, (rows, length), np.int64)
    ids[:, 0], ids[:, -1] = 101, 102
    return ids


def embedding(engine: Engine, ids: list[int]) -> Floats:
    """The mean of the states of one text's tokens."""
    row = np.array([ids], np.int64)
    states: Floats = engine.run(row, np.ones_like(row), None)[0].mean(0)
    return states


def likeness(embeddings: list[Floats], reference: list[Floats]) -> Iterator[str]:
    """The least and the median cosine."""
    cosines = [cosine(one, other) for one, other in zip(embeddings, reference, strict=True)]
    return (f"{value:.5f}" for value in (min(cosines), median(cosines)))


if __name__ == "__main__":
    sys.exit(main())
