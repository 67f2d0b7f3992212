"""`penstock config`: check a YAML file, or print its JSON Schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from penstock.config.document import Problem, refusal
from penstock.config.schema import Config
from penstock.core.errors import ConfigError, SetupError

app = typer.Typer(
    help="Check a YAML file, or print its schema for editors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def schema() -> None:
    """Print the JSON Schema of penstock.yaml, with a sentence for every setting.

    Save it, and name it in the first line of the YAML file, for completion in editors:
    # yaml-language-server: $schema=penstock.schema.json
    """
    from penstock.config.describe import json_schema

    typer.echo(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The YAML file.")] = Path("penstock.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether a YAML file could be served: settings, model files and trust. Exit status 2 when not."""
    problems, config = examined(file)
    if as_json:
        models, routes = ([], []) if config is None else (list(config.models), list(config.routes))
        typer.echo(msgspec.json.encode({"ok": not problems, "models": models, "routes": routes, "problems": problems}))
        raise typer.Exit(2 if problems else 0)
    if problems or config is None:
        raise refusal(problems)
    names = ", ".join(config.models) or "no models yet"
    more = f"; routes: {', '.join(config.routes)}" if config.routes else ""
    typer.echo(f"{file} is right: {names}{more}")


def examined(file: Path) -> tuple[list[Problem], Config | None]:
    """Everything that is wrong with a file, its models' sources included."""
    from penstock.config.file import examine

    try:
        config, problems = examine(file)
    except ConfigError as error:
        return [Problem(file.name, None, "", error.message)], None
    return (problems or sources(config, file)) if config is not None else problems, config


def sources(config: Config, file: Path) -> list[Problem]:
    """What is wrong with the sources of the models: not there, not served, not trusted; and with routes' files."""
    from penstock.config.models import check as check_model
    from penstock.config.routing import check as check_route

    problems = []
    for name, route in config.routes.items():
        try:
            check_route(route, file.absolute().parent)
        except SetupError as error:
            problems.append(Problem(file.name, None, f"routes.{name}.estimator", error.message))
    for name, model in config.models.items():
        try:
            check_model(name, model, file.absolute().parent)
        except SetupError as error:
            problems.append(Problem(file.name, None, f"models.{name}.source", error.message))
    return problems
