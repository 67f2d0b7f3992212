"""`python -m bench.router.kept`: how long a kept answer takes over HTTP, beside a new one of a provider that answers at
once. One connection, one request at a time; the server, its route, keys, limits and ledger are real.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from bench.penstock import command
from bench.sections import replace_section
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import Said

PAGE = Path(__file__).parent.parent / "RESULTS.md"
WARM = 200
ANSWER = "A penstock is a pipe that brings water to a turbine. " * 8
QUESTION = "What is a penstock, and what is it for? Answer in a few sentences. " * 4


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m bench.router.kept", description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--write", action="store_true", help="put the section into the page")
    options = parser.parse_args()
    text = section(options.requests)
    print(text)
    if options.write:
        replace_section(PAGE, "kept answers", text)


def section(requests: int) -> str:
    """The results, for people."""
    with (
        FakeOpenAI(said=Said(ANSWER)) as provider,
        tempfile.TemporaryDirectory(prefix="penstock-kept-") as folder,
        serving(Path(folder), provider.url) as port,
    ):
        kept = measured(port, requests)
        new = measured(port, requests, "Cache-Control: no-cache\r\n")
    lines = [
        "| answer | p50 | p99 |",
        "|---|---:|---:|",
        *(f"| {name} | {quantiles(took)} |" for name, took in (("kept", kept), ("new, of a mock provider", new))),
    ]
    return "\n".join(lines)


@contextmanager
def serving(folder: Path, url: str) -> Iterator[int]:
    """A server with one route to that provider; its port."""
    settings = {
        "models": {"chat": {"source": f"{url}#gpt"}},
        "routes": {"assistant": {"models": ["chat"], "cache": {}}},
        "state": {"url": f"sqlite:///{folder / 'kept.db'}"},
    }
    (folder / "kept.yaml").write_text(yaml.safe_dump(settings))
    start = [*command(), "serve", str(folder / "kept.yaml"), "--port", "0", "--json"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server did not start:\n{(folder / 'log').read_text()[-3000:]}")
        yield int(json.loads(line)["url"].rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def measured(port: int, requests: int, header: str = "") -> list[float]:
    """Seconds of each request, after some that only warm up."""
    body = {"model": "assistant", "temperature": 0, "messages": [{"role": "user", "content": QUESTION}]}
    raw = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}"
    message = f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw
    took = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(WARM + requests):
            began = time.perf_counter()
            sock.sendall(message)
            answered(sock)
            took.append(time.perf_counter() - began)
    return took[WARM:]


def answered(sock: socket.socket) -> None:
    """Reads one answer; its status must be 200."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the server answered {data[:500]!r}")
    size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < size:
        body += sock.recv(65536)


def quantiles(took: list[float]) -> str:
    """Median and 99th percentile, in milliseconds."""
    return " | ".join(f"{statistics.quantiles(took, n=100)[place] * 1000:.2f} ms" for place in (49, 98))


if __name__ == "__main__":
    main()
