"""`python -m bench.router.path`: what keys, limits, routing and the ledger add to a request of a predictive model.

The steps are the server's own, put together as `app.py` does, around a model that answers at once; no sockets, so what
is measured is nothing else. Each figure is the median of rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.sections import replace_section
from penstock.admission.gate import Gate
from penstock.config.books import Books
from penstock.config.routing import Routing
from penstock.config.schema import Config
from penstock.core.model import ModelSpec
from penstock.core.reply import Meta, Reply
from penstock.core.request import Handler, Request
from penstock.core.tensors import Tensor
from penstock.routing.names import Names
from penstock.scheduling.fleet import Fleet

PAGE = Path(__file__).parent.parent / "RESULTS.md"
CALLS = 20_000
IRIS = {"x": Tensor("FP32", np.ones((1, 4), np.float32))}
OUTPUT = {"y": Tensor("INT64", np.ones(1, np.int64))}


async def instant(request: Request) -> Reply:
    """A model that answers at once."""
    reply = Reply(Meta(request.model, "1"))
    reply.meta.busy_s = 1e-5
    reply.settle(OUTPUT)
    return reply


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.router.path", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="put the section into the page")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-path-") as folder:
        text = asyncio.run(_section(Path(folder), options.rounds))
    print(text)
    if options.write:
        replace_section(PAGE, "path", text)


async def _section(folder: Path, rounds: int) -> str:
    limits = {"*": {"requests_per_minute": 1e9, "cost_per_minute": 1e9, "concurrency": 10_000, "budget_per_day": 1e9}}
    tenants = {"open": {}, "limited": limits}
    lines = ["| | added to a request |", "|---|---:|"]
    bare = _cost(instant, rounds)
    for name, settings in tenants.items():
        handler, books, key = await _path(folder / f"{name}.db", settings)
        chain = _cost(handler, rounds) - bare
        asked = _cost_of(lambda books=books, key=key: books.guard.admit({b"authorization": key}, "infer"), rounds)  # type: ignore[misc]
        await books.stop()
        said = "a tenant without limits" if name == "open" else "a tenant with four limits"
        lines.append(f"| key, limits, gate, names, router, price, ledger: {said} | {chain + asked:.1f} µs |")
        lines.append(f"| of it, asking for the key | {asked:.1f} µs |")
    return "\n".join([*lines, "", "In one thread, without sockets; medians of rounds. Target: under 40 µs."])


async def _path(database: Path, tenants: dict[str, object]) -> tuple[Handler, Books, bytes]:
    import msgspec

    from penstock.admission.keys.store import KeyStore

    plain = {"state": {"url": f"sqlite:///{database}"}, "tenants": tenants, "prices": {"iris": {"hourly": 1.0}}}
    config = msgspec.convert(plain, Config)
    books = Books(config, Path.cwd(), ())
    assert books.database is not None
    _, secret = KeyStore(books.database).create("acme")
    fleet = Fleet()
    routing = Routing(config, fleet, instant, books.prices, books.ledger, Path.cwd())
    router = routing.router()
    gate = Gate(Names(router, fleet, {}, {}), config.admission)
    accounts = books.accounts(gate, router)
    books.prices.add(ModelSpec(name="iris", runtime="onnx", path=""), 1)
    await books.start()
    return accounts, books, f"Bearer {secret}".encode()


def _cost(handler: Handler, rounds: int) -> float:
    """Microseconds of a request through a handler that never waits."""

    def ask() -> None:
        try:
            handler(Request("1", "iris", IRIS, tenant="acme")).send(None)  # type: ignore[attr-defined]
        except StopIteration:
            return
        raise RuntimeError("the path waits")

    return _cost_of(ask, rounds)


def _cost_of(call: Callable[[], object], rounds: int) -> float:
    figures = []
    for _ in range(rounds + 1):
        began = time.process_time()
        for _ in range(CALLS):
            call()
        figures.append((time.process_time() - began) / CALLS * 1e6)
    return statistics.median(figures[1:])


if __name__ == "__main__":
    main()
