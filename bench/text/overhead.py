"""The server beside the bare runtime: the load, then a loop over batches of the sizes that the load made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.field import Runner, Wrong, say
from bench.results import Overhead
from bench.text.material import Material
from bench.text.metrics import batch_sizes
from penstock.scheduling.fleet import thread_share
from penstock.scheduling.process import THREAD_VARIABLES

_SETUP_S = 120
_ROOT = Path(__file__).parents[2]


def measure(runner: Runner, material: Material, connections: int, rounds: int, seconds: float) -> list[Overhead]:
    """Each round: the server under load, then, with the server paused, the runtime alone for as long."""
    found = []
    for number in range(rounds):
        before = _sizes(runner)
        load = runner.measure(connections, seconds)
        ran = _sizes(runner) - before
        bare = loop(_config(runner), runner.contestant.env, material.queries, ran, seconds)
        found.append(Overhead(load.requests_per_s, bare, rows_per_batch(ran)))
        _tell(f"overhead {number + 1}/{rounds}, {runner.contestant.name}", found[-1])
    return found


def loop(config: Path, env: dict[str, str], texts: list[str], ran: Counter[int], seconds: float) -> float:
    """Texts per second of the runtime in a process of its own, with a worker's threads. Raises `Wrong`."""
    task = {"config": str(config), "texts": texts, "sizes": sorted(ran.elements()), "seconds": seconds}
    environment = dict.fromkeys(THREAD_VARIABLES, str(thread_share(1))) | os.environ | env
    ended = subprocess.run(
        [sys.executable, "-m", "bench.text.bare"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=seconds + _SETUP_S,
        check=False,
        cwd=_ROOT,
        env=environment,
    )
    if ended.returncode != 0:
        raise Wrong(f"the bare runtime failed: {ended.stderr.strip()[-300:]}")
    return float(ended.stdout.split()[-1])


def rows_per_batch(ran: Counter[int]) -> float:
    """The mean; 0 without batches."""
    return sum(size * count for size, count in ran.items()) / max(1, ran.total())


def _sizes(runner: Runner) -> Counter[int]:
    with runner.awake():
        return Counter(batch_sizes(runner.port))


def _config(runner: Runner) -> Path:
    return next(Path(word) for word in runner.contestant.argv(0) if word.endswith(".yaml"))


def _tell(where: str, seen: Overhead) -> None:
    say(f"{where}: {seen.served_per_s:,.0f}/s, bare {seen.bare_per_s:,.0f}/s, {seen.batch_rows:.1f} rows a batch")
