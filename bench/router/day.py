"""`python -m bench.router.day QUESTIONS.csv.gz`: a day of mixed traffic through several routes, judged by the ledger.

Two fake providers on real sockets answer rightly or wrongly as the questions' labels say. The server, its routes, the
response cache, prices, feedback and the ledger are real. Every route is asked the same day; the figures are what
`penstock costs --by route` says afterwards. The questions are of subjects that the complexity model was not fitted on,
if `--model` names one that was fitted on the first half (`--halves` writes both).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.field import say
from bench.penstock import command
from bench.router.providers import large, small
from bench.router.replay import replay
from bench.router.traffic import Asked, Question, day, halves, questions
from bench.sections import replace_section
from bench.text.zipf import repeated
from penstock.storage.database import Database
from penstock.telemetry.ledger.costs import Cost, Costs, costs

PAGE = Path(__file__).parent.parent / "RESULTS.md"
PRICES = {"small": {"prompt": 0.7, "completion": 0.7}, "premium": {"prompt": 10.0, "completion": 30.0}}
"""USD per million tokens that the labelled models cost when they were asked: Mixtral-8x7B-Instruct at Mistral, and
gpt-4-1106-preview at OpenAI."""
BOTH = ["small", "premium"]
ROUTES: dict[str, dict[str, Any]] = {
    "always-premium": {"models": ["premium"], "fallback": ["small"]},
    "always-small": {"models": ["small"], "fallback": ["premium"]},
    "half-by-chance": {"models": BOTH, "policy": "weighted"},
    **{
        f"complexity-{share}": {"models": BOTH, "policy": "complexity", "strong_share": share / 100}
        for share in (50, 70, 90)
    },
    "complexity-70-kept": {
        "models": BOTH,
        "policy": "complexity",
        "strong_share": 0.7,
        "cache": {"ttl_s": 86_400},
    },
}
READY_S = 60
ABOUT = """{requests:,} requests, {again:.0%} of them asked before, {follows:.0%} within a conversation; \
{questions:,} questions of {subjects} subjects {told}. Who is right is known: the labels are those of \
Mixtral-8x7B-Instruct (small) and gpt-4-1106-preview (premium), at their list prices of then. Fake providers say so \
over real sockets; everything else is real, and all figures are the ledger's. `python -m bench.router.day` repeats it; \
one seed."""
HOW_TO_READ = """complexity-N asks for N % premium calls. *By chance*: right answers if as much money went to premium \
calls drawn at random. The share that was asked for is met on questions like those of the calibration, and only there: \
other subjects are easier or harder, so look at what a route really does (`penstock costs`), and fit it to your own \
feedback (`penstock route calibrate`)."""


def main() -> None:
    """Entry point."""
    options = _options()
    learned, asked = halves(questions(options.questions), options.seed)
    if options.halves:
        _write(options.halves, learned, asked)
        return
    made = day(asked, options.requests, options.repeats, options.seed)
    with tempfile.TemporaryDirectory(prefix="penstock-day-") as folder:
        found, strong = measured(Path(folder), asked, made, options.model)
    text = section(found, strong, made, options)
    print(text)
    if options.write:
        replace_section(options.page, "router day", text)


def measured(
    folder: Path, known: Sequence[Question], made: Sequence[Asked], model: Path | None
) -> tuple[Costs, dict[str, float]]:
    """What the ledger says of the day, by route, and the share of premium's answers."""
    began = time.time()
    with small(known) as cheap, large(known) as dear:
        settings = configuration(folder, cheap.url, dear.url, model)
        (folder / "day.yaml").write_text(yaml.safe_dump(settings))
        with _serving(folder) as url:
            for route in ROUTES:
                say(f"{route}: {len(made)} requests")
                asyncio.run(replay(url, route, made))
    database = Database(settings["state"]["url"])
    found = costs(database, "route", began - 1, time.time() + 1)
    strong = _strong(database)
    database.close()
    return found, strong


def _strong(database: Database) -> dict[str, float]:
    """The share of each route's requests that the premium model answered."""
    from sqlalchemy import case, func, select

    from penstock.storage.tables import requests

    share = func.avg(case((requests.c.model == "premium", 1.0), else_=0.0))
    with database.reading() as connection:
        asked = select(requests.c.route, share).where(requests.c.cache != "hit").group_by(requests.c.route)
        return {route: float(found) for route, found in connection.execute(asked)}


def configuration(folder: Path, cheap: str, dear: str, model: Path | None) -> dict[str, Any]:
    """The server's YAML file. The labels' providers ask for no key."""
    routes = {name: dict(route) for name, route in ROUTES.items()}
    for route in routes.values():
        if route.get("policy") == "complexity" and model is not None:
            route["estimator"] = str(model.absolute())
    return {
        "models": {"small": {"source": f"{cheap}#mixtral-8x7b"}, "premium": {"source": f"{dear}#gpt-4-1106-preview"}},
        "routes": routes,
        "prices": PRICES,
        "state": {
            "url": f"sqlite:///{folder / 'day.db'}",
            "rows_per_minute": 10_000_000,
            "feedback_per_minute": 1_000_000,
        },
    }


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """A server of one's own; its URL."""
    with (folder / "log").open("w") as log:
        start = [*command(), "serve", str(folder / "day.yaml"), "--port", "0", "--json"]
        process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server did not start:\n{(folder / 'log').read_text()[-3000:]}")
        yield json.loads(line)["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_S)
        print((folder / "log").read_text()[-2000:], file=sys.stderr)


def section(found: Costs, strong: dict[str, float], made: Sequence[Asked], options: argparse.Namespace) -> str:
    """The results, for people."""
    rows = {row.name: row for row in found.rows}
    texts = [asked.question.text for asked in made]
    numbers = {text: number for number, text in enumerate(texts)}
    again = repeated([numbers[text] for text in texts])
    subjects = len({asked.question.subject for asked in made})
    told = "that the complexity model was not fitted on" if options.model else "of which it was fitted on some"
    follows = sum(bool(asked.earlier) for asked in made) / len(made)
    lines = [
        "## A day through routes",
        "",
        _filled(
            ABOUT.format(
                requests=len(made),
                again=again,
                follows=follows,
                questions=len(set(texts)),
                subjects=subjects,
                told=told,
            )
        ),
        "",
        "| route | premium calls | cost | saved | answers right | by chance | of premium's | kept | 1,000 right cost |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *(_line(rows[name], strong[name], rows["always-small"], rows["always-premium"]) for name in ROUTES),
        "",
        _filled(HOW_TO_READ),
    ]
    return "\n".join(lines)


def _filled(text: str) -> str:
    return textwrap.fill(text, 130)


def _line(row: Cost, strong: float, cheapest: Cost, premium: Cost) -> str:
    right, low, best = row.score or 0.0, cheapest.score or 0.0, premium.score or 1.0
    chance = low + (best - low) * max(0.0, row.cost - cheapest.cost) / (premium.cost - cheapest.cost)
    cells = [
        f"{strong:.0%}",
        f"${row.cost:.2f}",
        f"{1 - row.cost / premium.cost:.0%}",
        f"{right:.1%}",
        f"{chance:.1%}" if row.name.startswith("complexity") and not row.kept else "",
        f"{right / best:.1%}",
        f"{row.kept / row.requests:.0%}",
        f"${row.per_1000_good or 0:.3f}",
    ]
    return f"| {row.name} | {' | '.join(cells)} |"


def _write(folder: Path, learned: list[Question], asked: list[Question]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("learned.csv", learned), ("asked.csv", asked)):
        with (folder / name).open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["subject", "prompt", "small_correct", "large_correct"])
            out.writerows([q.subject, q.text, int(q.small), int(q.large)] for q in part)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.router.day", description=__doc__)
    parser.add_argument("questions", type=Path, help="labelled questions (see training/router)")
    parser.add_argument("--model", type=Path, help="a complexity model that was fitted on the first half")
    parser.add_argument("--halves", type=Path, help="write both halves of the questions to this folder, and end")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--repeats", type=float, default=0.4, help="share of requests that were asked before")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="put the section into the page")
    parser.add_argument("--page", type=Path, default=PAGE)
    return parser.parse_args()


if __name__ == "__main__":
    main()
