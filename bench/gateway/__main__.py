"""`python -m bench.gateway`: requests through gateways to a mock provider, and its section of RESULTS.md."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import machine
from bench.contestant import Absent
from bench.field import end_cleanly_on_sigterm, say
from bench.gateway import rivals
from bench.gateway.measure import STREAMS, Runner, quantile, rounds, running, streams
from bench.process import free_port
from bench.sections import replace_section

PAGE = Path(__file__).parent.parent / "RESULTS.md"
NAME = "gateway"


def main() -> None:
    """Entry point."""
    options = _options()
    end_cleanly_on_sigterm()
    where = machine.describe(machine.wrk())
    with tempfile.TemporaryDirectory(prefix="penstock-bench-gateway-") as name:
        runners = _measured(Path(name), options.rounds, options.seconds)
    lines = [" · ".join(f"{key}: {value}" for key, value in where.items()), "", *_section(runners)]
    print("\n".join(lines), flush=True)
    if not options.no_write:
        replace_section(PAGE, NAME, "\n".join(lines))


def _measured(folder: Path, count: int, seconds: float) -> list[Runner]:
    with running(_gateways(folder), folder) as runners:
        rounds(runners, count, seconds)
        streams([runner for runner in runners if runner.gateway.name != rivals.BARE], count)
        return runners


def _gateways(folder: Path) -> list[rivals.Gateway]:
    at = rivals.direct(free_port())
    provider = f"http://127.0.0.1:{at.port}/v1"
    found = [at, rivals.bare(free_port(), provider), rivals.ours(folder, free_port(), provider)]
    try:
        found.append(rivals.litellm(folder, free_port(), provider))
    except Absent as reason:
        say(f"not measured: {reason}")
    return found


def _section(runners: Sequence[Runner]) -> Iterator[str]:
    yield "A mock provider that answers at once; chat requests of 90 bytes; medians of rounds, one run, interleaved,"
    yield "the others stopped meanwhile. Load generator, gateway and provider share the machine's cores."
    yield from ("", "| through | requests/s, 32 connections | p50 / p99 | alone p50 | resident MB |")
    yield "|---|---:|---:|---:|---:|"
    for runner in runners:
        rate, p50, p99 = (runner.median(runner.many, name) for name in ("requests_per_s", "p50_ms", "p99_ms"))
        alone, name = runner.median(runner.alone, "p50_ms"), runner.gateway.name
        yield f"| {name} | {rate:,.0f} | {p50:.1f} / {p99:.1f} ms | {alone:.2f} ms | {runner.rss_mb:.0f} |"
    yield from _verdicts({runner.gateway.name: runner for runner in runners})


def _verdicts(by_name: dict[str, Runner]) -> Iterator[str]:
    ours, theirs, direct = (by_name.get(name) for name in (rivals.OURS, rivals.THEIRS, rivals.DIRECT))
    assert ours is not None
    assert direct is not None
    yield ""
    if theirs is not None:
        ratio = ours.median(ours.many, "requests_per_s") / theirs.median(theirs.many, "requests_per_s")
        yield f"- requests per second against LiteLLM's proxy: {ratio:.1f}× (target 25)"
    yield f"- alone p50: {ours.median(ours.alone, 'p50_ms'):.2f} ms (target under 1.5)"
    for name, runner in by_name.items():
        if runner.delays and runner is not direct:
            p50, p99 = (_added(runner, direct, share) for share in (0.5, 0.99))
            target = " (target p99 under 10)" if runner is ours else ""
            yield f"- {STREAMS} streams through {name}: each piece {p50:.2f} ms later at p50, {p99:.2f} at p99{target}"


def _added(runner: Runner, direct: Runner, share: float) -> float:
    """Milliseconds between a piece's delay through a gateway and without one, at this quantile; median of rounds."""
    return statistics.median(
        quantile(through, share) - quantile(without, share)
        for through, without in zip(runner.delays, direct.delays, strict=True)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, after one that warms up")
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--no-write", action="store_true", help="leave the page as it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
