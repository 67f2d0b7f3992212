"""`python -m bench`: measure, judge, write `bench/RESULTS.md`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench import alone, machine, peers, penstock, report, targets
from bench.contestant import Absent, Contestant
from bench.field import Maker, Wrong, end_cleanly_on_sigterm, interleave, recorded, running, say
from bench.models import Models, write_models
from bench.quantization import measure as quantization
from bench.quantization import report as quantization_report
from bench.results import Part, Results
from bench.sections import replace_section
from bench.targets import Verdict
from bench.text import measure as text
from bench.text import report as text_report
from bench.text import targets as text_targets
from bench.wrk import WrkError, require_wrk

Entry = Callable[[Models], Contestant]

IRIS: dict[str, Entry] = {
    penstock.IRIS: penstock.iris,
    peers.FASTAPI: peers.fastapi_sklearn,
    peers.FASTAPI_ONNX: peers.fastapi_onnx,
    peers.MOSEC: peers.mosec,
    peers.MLSERVER: peers.mlserver,
}
TENSOR: dict[str, Entry] = {
    penstock.IMAGE_BINARY: penstock.image_binary,
    penstock.IMAGE_JSON: penstock.image_json,
    peers.FASTAPI_BINARY: peers.fastapi_binary,
}
PARTS = ("iris", "tensor", "start", "text", "quantization", "sustained")
PAGE = Path(__file__).parent / "RESULTS.md"


def main() -> int:
    """Exit 2: someone answered wrongly or wrk failed. Exit 1: a target is missed, under `--check` alone."""
    options = _options()
    end_cleanly_on_sigterm()
    try:
        require_wrk()
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
            results = measure(options, write_models(Path(folder)))
    except (WrkError, Wrong) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    judged = verdicts(results)
    written = sections(results)
    if not options.no_write:
        for name, section in written.items():
            replace_section(PAGE, name, section)
    if options.json:
        print(json.dumps({**asdict(results), "targets": [asdict(verdict) for verdict in judged]}))
    else:
        print("\n\n".join(f"## {name}\n\n{section}" for name, section in written.items()))
    missed = options.check and any(verdict.passed is False for verdict in judged)
    return 2 if any(part.wrong for part in results.parts()) else int(missed)


def measure(options: argparse.Namespace, models: Models) -> Results:
    """Each part in turn; a part that cannot be measured is left out with the reason."""
    results = Results(machine.describe(machine.wrk()), options.rounds, options.seconds)
    if "iris" in options.parts:
        results.iris = _loads(IRIS, models, options.connections, options)
    if "tensor" in options.parts:
        results.tensor = _loads(TENSOR, models, [4], options)
    for measured in (_alone, _text, _quantization):
        try:
            measured(results, options, models)
        except Absent as reason:
            say(f"not measured: {reason}")
    return results


def verdicts(results: Results) -> list[Verdict]:
    """Every target in the order of the report."""
    return [
        *targets.iris(results.iris),
        *targets.tensor(results.tensor),
        *targets.start(results),
        *targets.sustained(results.sustained),
        *text_targets.verdicts(results.text),
    ]


def sections(results: Results) -> dict[str, str]:
    """The generated sections of the page by name."""
    found = report.sections(results)
    if results.text is not None:
        found["text"] = text_report.section(results, results.text)
    if results.quantization:
        found["quantization"] = quantization_report.section(results, results.quantization)
    return found


def _loads(entries: dict[str, Entry], models: Models, connections: list[int], options: argparse.Namespace) -> Part:
    with running(_bind(entries, models), models.folder) as field:
        return recorded(field, interleave(field, connections, options.rounds, options.seconds))


def _bind(makers: dict[str, Entry], models: Models) -> dict[str, Maker]:
    return {name: partial(maker, models) for name, maker in makers.items()}


def _alone(results: Results, options: argparse.Namespace, models: Models) -> None:
    if "start" in options.parts:
        results.ready_s = alone.ready_times(models)
        results.server_rss_mb = alone.server_weight_mb(models)
    if "sustained" in options.parts:
        results.sustained = alone.sustained(models, options.sustained_seconds)


def _text(results: Results, options: argparse.Namespace, models: Models) -> None:
    if "text" in options.parts:
        results.text = text.measure(models.folder, options.rounds, options.seconds)


def _quantization(results: Results, options: argparse.Namespace, models: Models) -> None:
    if "quantization" in options.parts:
        results.quantization = quantization.measure(models.folder, options.seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over everyone (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="seconds per cell (default: %(default)s)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32, 256], help="for iris")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS[:4]), help="default: %(default)s")
    parser.add_argument("--sustained", action="store_true", help="also the load of two minutes")
    parser.add_argument("--sustained-seconds", type=float, default=60, help="length of each half")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--check", action="store_true", help="exit 1 when a measured target is missed")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md alone")
    options = parser.parse_args()
    if options.sustained:
        options.parts.append("sustained")
    return options


if __name__ == "__main__":
    sys.exit(main())
