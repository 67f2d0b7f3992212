"""Runs every probe against every candidate."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.field import Field, Runner
from bench.http import call
from bench.http_servers import candidates, probes
from bench.http_servers.work import SLOW_S
from bench.process import wait_until

PROBES: dict[str, Callable[[int], str]] = {
    "headers at 1 byte/s": probes.slow_headers,
    "body at 1 byte/s": probes.slow_body,
    "header of 70 kB": probes.header_70_kb,
    "header of 1 MB": probes.header_1_mb,
    "two Content-Length": probes.two_lengths,
    "Content-Length and chunked": probes.length_and_chunked,
    "70,000 one-byte chunks": probes.tiny_chunks,
    "client gone while waiting": probes.gone_while_waiting,
    "client gone mid-stream": probes.gone_mid_stream,
}
DRAIN = "SIGTERM with a request under way"

Behaviour = dict[str, dict[str, str]]


def observe(field: Field) -> Behaviour:
    """Probe by candidate. The slow probes run side by side: they load nobody."""
    runners = [runner for runner in field.runners if runner.contestant.name != candidates.BARE]
    seen: Behaviour = {name: {} for name in [*PROBES, DRAIN]}
    for runner in runners:
        runner.service.resume()
    with ThreadPoolExecutor(len(PROBES) * max(1, len(runners))) as pool:
        jobs = {
            (name, r.contestant.name): pool.submit(probe, r.port) for name, probe in PROBES.items() for r in runners
        }
        for (name, who), job in jobs.items():
            seen[name][who] = job.result()
    for runner in runners:
        seen[DRAIN][runner.contestant.name] = _drain(runner)
    return seen


def _drain(runner: Runner) -> str:
    """Ends the candidate: the last probe."""
    with ThreadPoolExecutor(1) as pool, socket.create_connection(("127.0.0.1", runner.port)) as idle:
        idle.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        under_way = pool.submit(call, runner.port, "GET", "/slow")
        time.sleep(0.4)
        asked = time.monotonic()
        runner.service.terminate()
        status = under_way.result().status
        ended = wait_until(lambda: runner.service.exited() is not None, 2 * SLOW_S + 5)
        took = time.monotonic() - asked
    finished = "finished" if status == 200 else "lost"
    exit_word = f"exit {runner.service.exited()} after {took:.1f} s" if ended else f"still running after {took:.0f} s"
    return f"request {finished}; {exit_word}"
