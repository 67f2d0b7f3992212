"""`penstock demo`: real models, trained here, served by a real server, asked with rows that they never saw."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer
import yaml
from rich.console import Console

from penstock.cli.demo import models, report
from penstock.cli.demo.asking import Result, ask
from penstock.cli.demo.child import Child, serving
from penstock.cli.demo.models import DemoModel
from penstock.client import Client


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the table; exit status 1 if it is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    port: Annotated[int | None, typer.Option(help="Port to serve at (default 8000, or any free one).")] = None,
) -> None:
    """Train three small models, serve them with `penstock serve`, send held-out rows, and show how they did."""
    models.check_installed()
    signal.signal(signal.SIGTERM, _interrupt)
    say = Console(stderr=as_json, highlight=False)
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as name:
        folder = Path(name)
        say.print("Training on scikit-learn's data: digits, wine, diabetes ...")
        trained, config = prepare(folder)
        say.print("Starting penstock serve penstock.yaml ...")
        with serving(config, port, folder) as child:
            try:
                results = examine(trained, child.url)
                show(results, child, as_json, say)
                if not once:
                    linger(child, trained, say)
            except KeyboardInterrupt:
                say.print("Stopping ...")
                child.stop()
                raise typer.Exit(130 if once else 0) from None
            status = child.stop()
    raise typer.Exit(0 if status == 0 and all(result.good for result in results) else 1)


def prepare(folder: Path) -> tuple[list[DemoModel], Path]:
    """The trained models, and the YAML file that serves them; what is saved is trusted in the folder alone."""
    before = os.environ.get("PENSTOCK_HOME")
    os.environ["PENSTOCK_HOME"] = str(folder)
    try:
        trained = models.train(folder)
    finally:
        os.environ.pop("PENSTOCK_HOME") if before is None else os.environ.update(PENSTOCK_HOME=before)
    config = folder / "penstock.yaml"
    config.write_text(yaml.safe_dump({"models": {model.name: {"source": model.source} for model in trained}}))
    return trained, config


def examine(trained: Sequence[DemoModel], url: str) -> list[Result]:
    """Asks one model after the other."""
    with Client(url) as client:
        client.wait_ready()
        return [ask(model, client) for model in trained]


def show(results: Sequence[Result], child: Child, as_json: bool, say: Console) -> None:
    """The table, or one JSON object."""
    if as_json:
        rows = [{**msgspec.to_builtins(result), "good": result.good} for result in results]
        print(msgspec.json.encode({"url": child.url, "results": rows}).decode(), flush=True)
    else:
        say.print(report.table(results))
        say.print(report.caption(results), style="dim")
    for complaint in report.complaints(results):
        print(f"penstock: {complaint}", file=sys.stderr)


def linger(child: Child, trained: Sequence[DemoModel], say: Console) -> None:
    """Keeps serving until the server ends, or a signal."""
    say.print(f"\nStill serving at [bold]{child.url}[/]; look at {child.url}/docs and {child.url}/metrics")
    for model in trained:
        say.print(f"  {child.url}/models/{model.name}/predict   {model.about}", soft_wrap=True)
    say.print("Ctrl-C stops it.", style="dim")
    child.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
