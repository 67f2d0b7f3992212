"""`python -m bench.http_servers`: measure the candidates, write the figures into the decision's page."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench import machine
from bench.field import Wrong, end_cleanly_on_sigterm, interleave, recorded, running
from bench.http_servers import candidates
from bench.http_servers.behaviour import Behaviour, observe
from bench.report import joined, loads_table, provenance, table, who
from bench.results import Part, Results
from bench.sections import replace_section
from bench.wrk import WrkError, require_wrk

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "0001-http-server.md"


def main() -> int:
    """Exit 0 when everything could be measured."""
    options = _options()
    end_cleanly_on_sigterm()
    try:
        require_wrk()
        with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
            results, behaviour = measure(options, Path(folder))
    except (WrkError, Wrong) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    if not options.no_write:
        replace_section(PAGE, "http-servers", markdown(results, behaviour))
    if options.json:
        print(json.dumps({**asdict(results), "behaviour": behaviour}))
    else:
        print(markdown(results, behaviour))
    return 0


def measure(options: argparse.Namespace, folder: Path) -> tuple[Results, Behaviour]:
    """Speed first, with one candidate awake at a time; then manners, which end them."""
    results = Results(machine.describe(machine.wrk()), options.rounds, options.seconds)
    with running(candidates.makers(), folder) as field:
        loads = interleave(field, [1, 32, 256], options.rounds, options.seconds)
        results.iris = recorded(field, loads)
        behaviour = {} if options.no_behaviour else observe(field)
    return results, behaviour


def markdown(results: Results, behaviour: Behaviour) -> str:
    """Two tables and the machine."""
    part = results.iris or Part()
    speed = loads_table(part, candidates.UVICORN)
    return joined(provenance(results, [part]), speed, _manners(behaviour), who([part]))


def _manners(behaviour: Behaviour) -> str:
    names = list(next(iter(behaviour.values()), {}))
    return table(["", *names], [[probe, *(seen[name] for name in names)] for probe, seen in behaviour.items()])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.http_servers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over everyone (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="seconds per cell (default: %(default)s)")
    parser.add_argument("--no-behaviour", action="store_true", help="speed only")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--no-write", action="store_true", help="leave the decision's page alone")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
