"""Rounds over all gateways, interleaved; the others are stopped while one is measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contestant import Absent
from bench.field import say
from bench.gateway.rivals import DIRECT, Gateway
from bench.gateway.streams import delays_ms
from bench.http import post
from bench.process import Service, wait_until
from bench.wrk import Load, Request, run_wrk

PATH = "/v1/chat/completions"
BODY = b'{"model":"gpt","messages":[{"role":"user","content":"Hello, how are you today?"}]}'
ASKED = Request(PATH, {"Content-Type": "application/json", "Authorization": "Bearer none"}, BODY)
STREAMS = 200
READY_S = 120.0


@dataclass
class Runner:
    """A gateway that runs, and what was seen of it."""

    gateway: Gateway
    service: Service
    many: list[Load] = field(default_factory=list)
    alone: list[Load] = field(default_factory=list)
    delays: list[list[float]] = field(default_factory=list)
    rss_mb: float = 0.0

    def median(self, loads: Sequence[Load], what: str) -> float:
        """Of one number of its loads."""
        return statistics.median(getattr(load, what) for load in loads)


@contextmanager
def running(gateways: Sequence[Gateway], folder: Path) -> Iterator[list[Runner]]:
    """All of them, ready; stopped but for the first, which is the provider. Raises `Absent`."""
    with ExitStack() as stack:
        runners = []
        for gateway in gateways:
            log = folder / f"{gateway.name.replace(' ', '-')}.log"
            service = stack.enter_context(Service(gateway.argv, gateway.env, Path.cwd(), log))
            runners.append(Runner(gateway, service))
            _wait_ready(runners[-1], log)
            if gateway.name != DIRECT:
                service.pause()
        yield runners


def _wait_ready(runner: Runner, log: Path) -> None:
    def settled() -> bool:
        return runner.service.exited() is not None or post(runner.gateway.port, ASKED).status == 200

    if not wait_until(settled, READY_S, 0.2) or runner.service.exited() is not None:
        raise Absent(f"{runner.gateway.name} does not answer: {log.read_text(errors='replace')[-500:]}")


def rounds(runners: Sequence[Runner], count: int, seconds: float) -> None:
    """So many, after one that warms up."""
    for number in range(count + 1):
        for runner in runners:
            runner.service.resume()
            _one(runner, seconds, keep=number > 0)
            if runner.gateway.name != DIRECT:
                runner.service.pause()


def _one(runner: Runner, seconds: float, *, keep: bool) -> None:
    port = runner.gateway.port
    many, alone = run_wrk(port, ASKED, 32, seconds), run_wrk(port, ASKED, 1, seconds)
    for load in (many, alone):
        if load.bad_statuses or load.socket_errors:
            raise Absent(f"{runner.gateway.name}: {load.bad_statuses} bad statuses, {load.socket_errors} broken")
    if keep:
        runner.many.append(many)
        runner.alone.append(alone)
        runner.rss_mb = runner.service.rss_mb(children=True)
        say(f"{runner.gateway.name}: {many.requests_per_s:.0f}/s, alone p50 {alone.p50_ms:.2f} ms")


def streams(runners: Sequence[Runner], count: int) -> None:
    """Many streams at once through each."""
    for _ in range(count):
        for runner in runners:
            runner.service.resume()
            runner.delays.append(delays_ms(runner.gateway.port, STREAMS))
            if runner.gateway.name != DIRECT:
                runner.service.pause()
            say(f"{runner.gateway.name}: pieces p99 {quantile(runner.delays[-1], 0.99):.2f} ms")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
