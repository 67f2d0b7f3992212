"""`python -m bench.text.bare`: a text runtime in a loop, without a server. Reads its task as JSON, prints texts/s."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.config.file import load
from penstock.config.models import spec_of
from penstock.core.text import TEXT
from penstock.runtimes import registry
from penstock.scheduling.fleet import thread_share

_WARM_UP_S = 3.0

Batch = list[bytes]


def main() -> None:
    """Loads the one model of a configuration as a worker would, and calls it for as long as it is told."""
    task = json.load(sys.stdin)
    batches = batches_of(task["texts"], task["sizes"])
    run = runtime(Path(task["config"]))
    loop(run, batches, _WARM_UP_S)
    print(loop(run, batches, task["seconds"]))


def runtime(config: Path) -> Callable[[Batch], Any]:
    """The runtime's `run` for a list of texts."""
    (entry,) = load(config, {}, {}).models.items()
    spec = msgspec.structs.replace(spec_of(*entry, config.parent), threads=thread_share(1))
    loaded = registry.create(spec.runtime)
    loaded.load(spec)
    return lambda batch: loaded.run({TEXT: np.array(batch, object)})


def batches_of(texts: list[str], sizes: list[int], seed: int = 0) -> Iterator[Batch]:
    """Batches of these sizes, in any order, over and over; the texts follow each other as the load sends them."""
    drawn, supply = random.Random(seed).sample(sizes, len(sizes)), cycle(text.encode() for text in texts)
    for size in cycle(drawn):
        yield [next(supply) for _ in range(size)]


def loop(run: Callable[[Batch], Any], batches: Iterator[Batch], seconds: float) -> float:
    """Texts per second."""
    texts, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        batch = next(batches)
        run(batch)
        texts += len(batch)
    return texts / passed


if __name__ == "__main__":
    main()
