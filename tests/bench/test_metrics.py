"""What the bench reads from a server about its work: the cache's share, and the batches that it ran."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bench.field import Wrong
from bench.text.metrics import batch_sizes, hit_rate
from penstock.core.model import ModelStats
from penstock.protocols.oip.statistics import statistics
from penstock.telemetry.caching import CacheCounts, families

Serve = Callable[[dict[str, bytes]], int]


class Caches(Collector):
    """The page of one model whose rows were cached."""

    def __init__(self, counts: CacheCounts) -> None:
        self.counts = counts

    def collect(self) -> Iterable[Metric]:
        return families([(("minilm", "1"), self.counts)])


def page(counts: CacheCounts) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Caches(counts))
    return generate_latest(registry)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A real listener that answers these paths; returns its port."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(pages: dict[str, bytes]) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in pages else 404)
                self.end_headers()
                self.wfile.write(pages.get(self.path, b""))

            def log_message(self, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        running.append((server, thread))
        return int(server.server_address[1])

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def test_rows_that_waited_for_one_under_way_count_as_answered_by_the_cache(serve: Serve) -> None:
    port = serve({"/metrics": page(CacheCounts(hits=7, misses=2, shared=1, evictions=50, bytes=900, items=3))})

    assert hit_rate(port) == pytest.approx(0.8)


def test_a_server_without_a_cache_has_no_hit_rate(serve: Serve) -> None:
    assert hit_rate(serve({"/metrics": b"# HELP x y\n# TYPE x gauge\nx 1.0\n"})) is None
    assert hit_rate(serve({})) is None


def test_batches_are_read_from_the_statistics_extension(serve: Serve) -> None:
    stats = ModelStats(batch_sizes={1: (3, 0.1), 16: (40, 2.5)})
    model: Any = SimpleNamespace(stats=stats, spec=SimpleNamespace(name="minilm", version="1"))
    told = json.dumps({"model_stats": [statistics(model)]}).encode()

    assert batch_sizes(serve({"/v2/models/minilm/stats": told})) == {1: 3, 16: 40}


def test_no_statistics_are_an_error(serve: Serve) -> None:
    with pytest.raises(Wrong, match="status 404"):
        batch_sizes(serve({}))
