"""The contestants that are running: one awake at a time, the others stopped in their tracks."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contestant import Absent, Contestant
from bench.http import call, post
from bench.process import Service, free_port, wait_until
from bench.results import Loads, Part
from bench.wrk import Load, Request, WrkError, run_wrk


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
        problem = self.contestant.verdict(post(self.port, self.request))
        if problem is not None:
            raise Wrong(f"answers wrongly: {problem}")

    @contextmanager
    def awake(self) -> Iterator[None]:
        """For as long as it is asked anything; it is paused again on the way out."""
        self.service.resume()
        try:
            yield
        finally:
            self.service.pause()

    def measure(self, connections: int, seconds: float) -> Load:
        """Awake for one load, with a right answer before and after it and no bad status in between."""
        with self.awake():
            self.check()
            load = run_wrk(self.port, self.request, connections, seconds, self.contestant.load())
            self.check()
        if load.bad_statuses or load.socket_errors or not load.requests:
            raise Wrong(f"at {connections} connections: {load}")
        return load


@dataclass(frozen=True, slots=True)
class Field:
    """Who runs; who could not start, and who answered wrongly under load, with the reasons."""

    runners: list[Runner] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def turn(self, number: int) -> list[Runner]:
        """Everyone, another one first in every round."""
        first = number % max(1, len(self.runners))
        return self.runners[first:] + self.runners[:first]

    def drop(self, runner: Runner, reason: str) -> None:
        """One who answers wrongly has no figures; the others go on."""
        self.runners.remove(runner)
        self.wrong[runner.contestant.name] = reason
        say(f"{runner.contestant.name} is left out: {reason}")


Maker = Callable[[], Contestant]


def end_cleanly_on_sigterm() -> None:
    """Leave through every `finally`, so that no server outlives the bench."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


@contextmanager
def running(makers: Mapping[str, Maker], folder: Path) -> Iterator[Field]:
    """Start everyone who can start; end them all on the way out, whatever happened."""
    entrants = Field()
    with ExitStack() as stack:
        for name, maker in makers.items():
            try:
                entrants.runners.append(stack.enter_context(start(maker, folder)))
            except Absent as reason:
                entrants.absent[name] = str(reason)
                say(f"{name} is absent: {reason}")
        yield entrants


@contextmanager
def start(maker: Maker, folder: Path) -> Iterator[Runner]:
    """One contestant, warm, checked and paused."""
    contestant, port = maker(), free_port()
    log = folder / f"{''.join(c if c.isalnum() else '-' for c in contestant.name)}-{port}.log"
    with Service(contestant.argv(port), contestant.env, folder, log) as service:
        runner = Runner(contestant, service, port, _first_answer(contestant, service, port))
        run_wrk(port, runner.request, *contestant.warm_up, contestant.load())
        say(f"{contestant.name} is up")
        service.pause()
        yield runner


def interleave(entrants: Field, connections: Sequence[int], rounds: int, seconds: float) -> Loads:
    """Every round measures everyone at every number of connections, so that noise meets all alike."""
    loads: Loads = {runner.contestant.name: {count: [] for count in connections} for runner in entrants.runners}
    for number in range(rounds):
        for count in connections:
            for runner in entrants.turn(number):
                try:
                    load = runner.measure(count, seconds)
                except (Wrong, WrkError) as reason:
                    entrants.drop(runner, str(reason))
                    continue
                loads[runner.contestant.name][count].append(load)
                _tell(f"round {number + 1}/{rounds}, {count} connections, {runner.contestant.name}", load)
    return {name: runs for name, runs in loads.items() if name not in entrants.wrong}


def recorded(entrants: Field, loads: Loads) -> Part:
    """What the report needs to know about those who ran, and those who did not."""
    contestants = [runner.contestant for runner in entrants.runners]
    return Part(
        loads=loads,
        absent=dict(entrants.absent),
        wrong=dict(entrants.wrong),
        notes={contestant.name: contestant.note for contestant in contestants},
        versions={name: number for contestant in contestants for name, number in contestant.versions.items()},
        body_bytes={runner.contestant.name: len(runner.request.body) for runner in entrants.runners},
    )


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
        seen[0] = contestant.verdict(post(port, requests[0]))
        return seen[0] is None

    if not wait_until(right, contestant.patience_s, 0.1) or seen[0] is not None:
        raise Absent(f"does not serve: {seen[0]}; its log ends: {_one_line(service.log)}")
    return requests[0]


def _one_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return (lines or ["(empty)"])[-1][:200]
