"""What is measured of language models, and how: who stands still while another is measured, and medians of rounds."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contestant import Absent
from bench.llm import rivals
from bench.llm.load import Door, Load, ask, press, prompts
from bench.llm.rivals import Server

PREFIX = 1000
COPIES = 6
MODELS = ("q4_0", "q8_0")


@dataclass(slots=True)
class Speed:
    """One contestant's rounds with one model and so many clients."""

    name: str
    model: str
    clients: int
    loads: list[Load] = field(default_factory=list)

    def median(self, of: Callable[[Load], float]) -> float:
        """The median over rounds."""
        return statistics.median(of(load) for load in self.loads)


@dataclass(slots=True)
class Memory:
    """What `penstock estimate` said and what the worker then took, in bytes."""

    model: str
    sequences: int
    estimated: int
    resident: int


@dataclass(slots=True)
class Measured:
    """Everything; `absent` says who could not be measured and why. Prefix: seconds to the first token, without and
    with a known prefix. Lookup: tokens per second without and with guesses from the prompt, and their texts agree."""

    speeds: list[Speed] = field(default_factory=list)
    raw: dict[tuple[str, int], float] = field(default_factory=dict)
    memory: list[Memory] = field(default_factory=list)
    prefix: tuple[float, float] | None = None
    lookup: tuple[float, float, bool] | None = None
    absent: list[str] = field(default_factory=list)


def speeds(models: dict[str, Path], folder: Path, rounds: int, measured: Measured) -> None:
    """16 clients and one, against each rival, interleaved."""
    for kind in MODELS:
        with ExitStack() as running:
            servers = _started(models, kind, folder, running, measured)
            raw = running.enter_context(_raw(models[kind]))
            seen = {(s.name, n): Speed(s.name, kind, n) for s in servers for n in (16, 1)}
            alone: dict[int, list[float]] = {16: [], 1: []}
            for number in range(rounds + 1):
                for server in servers:
                    with _only(server, servers):
                        for clients, requests in ((16, 2), (1, 3)):
                            load = asyncio.run(press(server.door, clients, requests, prompts(number * 100 + clients)))
                            if number:
                                seen[server.name, clients].loads.append(load)
                with _only(None, servers):
                    for clients, requests in ((16, 2), (1, 3)):
                        rate = raw(clients, requests)
                        if number:
                            alone[clients].append(rate)
            measured.speeds += seen.values()
            measured.raw |= {(kind, clients): statistics.median(rates) for clients, rates in alone.items()}


def _started(models: dict[str, Path], kind: str, folder: Path, running: ExitStack, measured: Measured) -> list[Server]:
    makers = [lambda: rivals.penstock(models[kind], folder), lambda: rivals.llama_server(models[kind], folder)]
    if kind == MODELS[0]:
        makers.append(lambda: rivals.vllm(models["hf"], folder))
    servers: list[Server] = []
    for maker in makers:
        with _only(None, servers):
            try:
                server = maker()
            except Absent as reason:
                measured.absent.append(str(reason))
                continue
        running.enter_context(server.service)
        servers.append(server)
    return servers


@contextmanager
def _only(chosen: Server | None, servers: list[Server]) -> Iterator[None]:
    """All others stand still."""
    others = [server for server in servers if server is not chosen]
    for server in others:
        server.service.pause()
    try:
        yield
    finally:
        for server in others:
            server.service.resume()


@contextmanager
def _raw(model: Path) -> Iterator[Callable[[int, int], float]]:
    """The raw engine in a process of its own; it waits for a line, so it takes nothing meanwhile."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.llm.raw", str(model)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    while child.stdout.readline().strip() != "ready":
        if child.poll() is not None:
            raise Absent("the raw engine did not start")

    def run(sequences: int, requests: int) -> float:
        print(sequences, requests, file=child.stdin, flush=True)
        said = json.loads(child.stdout.readline())  # type: ignore[union-attr]
        return float(said["tokens"] / said["seconds"])

    try:
        yield run
    finally:
        child.stdin.close()
        child.wait(30)


def prefix(model: Path, folder: Path, measured: Measured, rounds: int) -> None:
    """Seconds to the first token of a prompt of 1,000 tokens that is new, and of one that shares all but its end."""
    server = rivals.penstock(model, folder, "Penstock prefix")
    with server.service:
        cold, warm = [], []
        for number in range(rounds + 1):
            shared = prompts(number + 500, PREFIX)()
            ends = prompts(number + 900, 16)
            first, second = asyncio.run(_twice(server.door, shared + ends(), shared + ends()))
            cold.append(first)
            warm.append(second)
        measured.prefix = statistics.median(cold[1:]), statistics.median(warm[1:])


async def _twice(door: Door, first: list[int], second: list[int]) -> tuple[float, float]:
    return (await ask(door, first, 4)).first_s, (await ask(door, second, 4)).first_s


def lookup(model: Path, text: str, folder: Path, measured: Measured, rounds: int) -> None:
    """Tokens per second of the tiny model while it copies, without and with guesses from the prompt."""
    plain = rivals.penstock(model, folder, "Penstock plain", sequences=4)
    with plain.service:
        guessing = rivals.penstock(model, folder, "Penstock lookup", sequences=4, speculative="prompt_lookup")
        with guessing.service:
            rates: dict[str, list[float]] = {"plain": [], "lookup": []}
            said = set()
            for _ in range(rounds + 1):
                for name, server in (("plain", plain), ("lookup", guessing)):
                    rate, answer = _copy(server.door.port, text)
                    rates[name].append(rate)
                    said.add(answer)
            medians = [statistics.median(rates[name][1:]) for name in ("plain", "lookup")]
            measured.lookup = medians[0], medians[1], len(said) == 1


def _copy(port: int, text: str) -> tuple[float, str]:
    import time
    import urllib.request

    body: dict[str, Any] = {"model": "m", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    started, tokens, answer = time.perf_counter(), 0, ""
    for _ in range(COPIES):
        with urllib.request.urlopen(request, timeout=60) as response:
            said = json.loads(response.read())
        tokens += said["usage"]["completion_tokens"]
        answer = said["choices"][0]["message"]["content"]
    return tokens / (time.perf_counter() - started), answer


def memory(models: dict[str, Path], folder: Path, measured: Measured) -> None:
    """The worker's resident memory after a full load, beside the estimate made before it."""
    for kind, model in models.items():
        for sequences in (1, 16):
            server = rivals.penstock(model, folder, f"Penstock memory {kind} {sequences}", sequences=sequences)
            with server.service:
                asyncio.run(press(server.door, sequences, 2, _filling(kind, sequences)))
                worker = max(server.service.pids(), key=lambda pid: _resident(pid))
                estimated = estimate(model, sequences)
                measured.memory.append(Memory(kind, sequences, estimated, _resident(worker)))


def _filling(kind: str, seed: int) -> Callable[[], list[int]]:
    """Prompts that fill a context; no two begin alike, or the prefix cache would keep what they share once."""
    if kind != "tiny":
        return prompts(seed, rivals.CONTEXT - 80)
    chance = random.Random(seed)
    return lambda: [chance.randrange(300, 500) for _ in range(rivals.CONTEXT - 80)]


def estimate(model: Path, sequences: int) -> int:
    """What `penstock estimate` says, in bytes."""
    argv = [sys.executable, "-m", "penstock.cli.main", "estimate", str(model), "--json"]
    argv += ["--sequences", str(sequences), "--context", str(rivals.CONTEXT)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True)
    return int(json.loads(said.stdout)["bytes"]["total"])


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0
