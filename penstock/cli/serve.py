"""`penstock serve`: files, folders, Python objects or a YAML file become a running server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from penstock.app import App, build
from penstock.cli import life
from penstock.config.schema import Config
from penstock.core.errors import ConfigError
from penstock.telemetry import logs

YAML = (".yaml", ".yml")


def serve(
    sources: Annotated[
        list[str], typer.Argument(help="Model files or folders, module:object, file.py:object, or one YAML file.")
    ],
    host: Annotated[str | None, typer.Option(help="Address to bind (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind (default 8000, or $PORT; 0: any free one).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model, when there is one.")] = None,
    trust: Annotated[list[str] | None, typer.Option(help="sha256:... of a file that may run code.")] = None,
    runtime: Annotated[str | None, typer.Option(help="Runtime to use (default: by the file's format).")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, fp16, bf16, int8 or int4: converted to it once (default: as it is).")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Classifiers answer label, probabilities or both.")] = None,
    replicas: Annotated[int | None, typer.Option(help="Worker processes per model.")] = None,
    max_batch_size: Annotated[int | None, typer.Option(help="Rows in a batch at most.")] = None,
    max_wait_ms: Annotated[float | None, typer.Option(help="How long a request may wait for company.")] = None,
    timeout_ms: Annotated[float | None, typer.Option(help="Time for a request that names none.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="More names for the Host header; * for any.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, json or text.")] = None,
    access_log: Annotated[bool | None, typer.Option(help="Log every request.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when ready, no table.")] = False,
) -> None:
    """Serve models over HTTP until Ctrl-C or SIGTERM; then finish what was accepted, and exit 0."""
    of_server = {
        "http.host": host,
        "http.port": port,
        "http.allowed_hosts": allow_host,
        "http.access_log": access_log,
        "log.level": log_level,
        "log.format": log_format,
    }
    of_models = {
        "trust": trust,
        "runtime": runtime,
        "device": device,
        "precision": precision,
        "output": output,
        "replicas": replicas,
        "timeout_ms": timeout_ms,
        "batching.max_size": max_batch_size,
        "batching.max_wait_ms": max_wait_ms,
    }
    config, base = configuration(sources, name, _given(of_server), _given(of_models))
    logs.configure(config.log.level, config.log.format)
    raise typer.Exit(life.run(build(config, base), lambda app: announce(app, as_json)))


def configuration(
    sources: list[str], name: str | None, of_server: dict[str, Any], of_models: dict[str, Any]
) -> tuple[Config, Path]:
    """The configuration that the arguments describe, and the folder that its sources start from."""
    from penstock.config.file import load, with_overrides

    if len(sources) == 1 and sources[0].endswith(YAML):
        if name is not None:
            raise ConfigError("--name goes with a model file; in a YAML file the models carry their names")
        path = Path(sources[0])
        return load(path, of_server, of_models), path.absolute().parent
    return with_overrides(_models(sources, name), of_server, of_models), Path.cwd()


def _models(sources: list[str], name: str | None) -> dict[str, Any]:
    from penstock.repository.sources import name_of

    if name is not None and len(sources) > 1:
        raise ConfigError("--name goes with one model; several get their names from their files")
    models: dict[str, Any] = {}
    for source in sources:
        label = name or name_of(source)
        if label in models:
            raise ConfigError(f"two sources are both named {label!r}; use a YAML file to name them")
        models[label] = {"source": source}
    return {"models": models}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def announce(app: App, as_json: bool) -> None:
    """Says that the server is ready: a table for people, or one JSON line for programs."""
    deployments, routes = list(app.fleet.all()), app.config.routes
    if as_json:
        models = [{"name": d.spec.name, "version": d.spec.version, "runtime": d.spec.runtime} for d in deployments]
        line = {"event": "ready", "url": app.url, "pid": os.getpid(), "models": models, "routes": list(routes)}
        print(msgspec.json.encode(line).decode(), flush=True)
        return
    from penstock.cli.table import startup

    startup(deployments, app.url, served_routes=routes, keys=app.books.guard.asks)
