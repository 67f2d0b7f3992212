"""`penstock ps`: what a running server serves, and how busy it is."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer

from penstock.cli import routes
from penstock.cli.chat.server import DEFAULT_URL, Server, given_url
from penstock.runtimes.generation.memory import in_words

_SAMPLE = re.compile(r"^(vllm:[a-z_]+|penstock_in_flight|penstock_queue_depth)\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
GAUGES = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "cache",
    "penstock_in_flight": "in_flight",
    "penstock_queue_depth": "queue",
}
"""What is read of the metrics page."""


def ps(
    url: Annotated[
        str | None, typer.Option(help="The server to ask (default $PENSTOCK_URL, or this machine's).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models and routes of a running server: state, answers under way, memory."""
    server = Server(given_url(url) or DEFAULT_URL)
    rows, ways = listed(server)
    if as_json:
        typer.echo(msgspec.json.encode({"url": server.url, "models": rows, "routes": [way._asdict() for way in ways]}))
    else:
        show(rows, ways)


def listed(server: Server) -> tuple[list[dict[str, Any]], list[routes.Route]]:
    """A row per served version, and the routes. `memory`: bytes, by estimate; `cache`: share of the key-value cache in
    use, 0 to 1."""
    loaded = {model["name"]: model for model in server.get("/api/ps")["models"]}
    busy = gauges(server.text("/metrics"))
    models, others = server.listed()
    rows = [_row(model, loaded.get(model["name"], {}), busy.get(model["name"], {})) for model in models]
    return rows, routes.of_names(others)


def _row(model: Mapping[str, Any], loaded: Mapping[str, Any], busy: Mapping[str, float]) -> dict[str, Any]:
    about = {key: model[key] for key in ("name", "version", "runtime", "state", "reason")}
    counts = {
        "running": int(busy.get("running", busy.get("in_flight", 0))),
        "waiting": int(busy.get("waiting", busy.get("queue", 0))),
        "cache": busy.get("cache"),
    }
    details = loaded.get("details", {})
    known = {"context": loaded.get("context_length") or None, "memory": loaded.get("size") or None}
    return {**about, **counts, **known, "quantization": details.get("quantization_level", "")}


def gauges(page: str) -> dict[str, dict[str, float]]:
    """By model: the numbers in `GAUGES`, versions of a model together."""
    found: dict[str, dict[str, float]] = {}
    for name, labels, value in _SAMPLE.findall(page):
        label: dict[str, str] = dict(_LABEL.findall(labels))
        model = label.get("model_name") or label.get("model", "")
        if name in GAUGES:
            of_model = found.setdefault(model, {})
            of_model[GAUGES[name]] = of_model.get(GAUGES[name], 0.0) + float(value)
    return found


def show(rows: list[dict[str, Any]], ways: list[routes.Route]) -> None:
    """Tables for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("model", "runtime", "state", "context", "running", "waiting", "cache", "memory"):
        table.add_column(title, overflow="fold", no_wrap=title != "model")
    for row in rows:
        table.add_row(*(Text(cell) for cell in _cells(row)))
    console = Console(file=sys.stdout, highlight=False)
    console.print(table)
    if ways:
        console.print(routes.table(ways))
    for row in rows:
        if row["reason"] and row["state"] != "UNLOADED":
            console.print(Text(f"{row['name']}: {row['reason']}"), soft_wrap=True)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cache = "" if row["cache"] is None else f"{row['cache']:.0%}"
    memory = "" if row["memory"] is None else in_words(row["memory"])
    context = str(row["context"] or "")
    name = row["name"] if row["version"] == "1" else f"{row['name']}@{row['version']}"
    counts = [str(row["running"]), str(row["waiting"])]
    return [name, row["runtime"], row["state"].lower(), context, *counts, cache, memory]
