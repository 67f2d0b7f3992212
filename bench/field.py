"""The contestants that are running: one awake at a time, the others stopped in their tracks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contestant import Absent, Contestant
from bench.http import call, post
from bench.process import Service, free_port, wait_until
from bench.results import Loads
from bench.wrk import Load, Request, run_wrk

_START_TIMEOUT_S = 60.0
_WARM_UP_S = 1.0


class Wrong(RuntimeError):
    """A contestant gave a wrong answer or a bad status, so its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A contestant with its process, its port and the request that its server understands."""

    contestant: Contestant
    service: Service
    port: int
    request: Request

    def check(self) -> None:
        """Refuse to go on unless the answer is the model's."""
        problem = self.contestant.problem(post(self.port, self.request))
        if problem is not None:
            raise Wrong(f"{self.contestant.name} answers wrongly: {problem}")

    def measure(self, connections: int, seconds: float) -> Load:
        """Awake for one load, with a right answer before and after it and no bad status in between."""
        self.service.resume()
        try:
            self.check()
            load = run_wrk(self.port, self.request, connections, seconds)
            self.check()
        finally:
            self.service.pause()
        if load.bad_statuses or load.socket_errors or not load.requests:
            raise Wrong(f"{self.contestant.name} at {connections} connections: {load}")
        return load


@dataclass(frozen=True, slots=True)
class Field:
    """Who runs, and who could not and why."""

    runners: list[Runner]
    absent: dict[str, str]


Maker = Callable[[], Contestant]


@contextmanager
def running(makers: Mapping[str, Maker], folder: Path) -> Iterator[Field]:
    """Start everyone who can start; end them all on the way out, whatever happened."""
    field = Field([], {})
    with ExitStack() as stack:
        for name, maker in makers.items():
            try:
                field.runners.append(stack.enter_context(start(maker, folder)))
            except Absent as reason:
                field.absent[name] = str(reason)
                say(f"{name} is absent: {reason}")
        yield field


@contextmanager
def start(maker: Maker, folder: Path) -> Iterator[Runner]:
    """One contestant, warm, checked and paused."""
    contestant, port = maker(), free_port()
    log = folder / f"{''.join(c if c.isalnum() else '-' for c in contestant.name)}-{port}.log"
    with Service(contestant.argv(port), contestant.env, folder, log) as service:
        runner = Runner(contestant, service, port, _first_answer(contestant, service, port))
        run_wrk(port, runner.request, 8, _WARM_UP_S)
        say(f"{contestant.name} is up")
        service.pause()
        yield runner


def interleave(field: Field, connections: Sequence[int], rounds: int, seconds: float) -> Loads:
    """Every round measures everyone at every number of connections, so that noise meets all alike."""
    loads: Loads = {runner.contestant.name: {count: [] for count in connections} for runner in field.runners}
    for number in range(rounds if field.runners else 0):
        first = number % len(field.runners)
        for count in connections:
            for runner in field.runners[first:] + field.runners[:first]:
                load = runner.measure(count, seconds)
                loads[runner.contestant.name][count].append(load)
                _tell(f"round {number + 1}/{rounds}, {count} connections, {runner.contestant.name}", load)
    return loads


def say(line: str) -> None:
    """Progress goes to stderr: stdout belongs to the result."""
    print(line, file=sys.stderr, flush=True)


def _tell(where: str, load: Load) -> None:
    say(f"{where}: {load.requests_per_s:,.0f}/s, p50 {load.p50_ms:.2f} ms, p99 {load.p99_ms:.2f} ms")


def _first_answer(contestant: Contestant, service: Service, port: int) -> Request:
    """Wait until the server gives its first right answer."""
    seen: list[str | None] = ["no answer"]
    requests: list[Request] = []

    def right() -> bool:
        if service.exited() is not None:
            return True
        if call(port, "GET", "/").status == 0:
            return False
        try:
            requests[:] = [contestant.request(port)]
        except Absent as reason:
            seen[0] = str(reason)
            return False
        seen[0] = contestant.problem(post(port, requests[0]))
        return seen[0] is None

    if not wait_until(right, _START_TIMEOUT_S, 0.1) or seen[0] is not None:
        raise Absent(f"does not serve: {seen[0]}; its log ends: {_one_line(service.log)}")
    return requests[0]


def _one_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return (lines or ["(empty)"])[-1][:200]
