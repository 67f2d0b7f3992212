"""`penstock route`: how a route sees a question, and how it learns from feedback."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from penstock.cli import rated
from penstock.cli.durations import seconds
from penstock.cli.explained import decision, estimator_of, route_of
from penstock.cli.state import FILE, ConfigOption, StateOption, reached
from penstock.config.document import nearest
from penstock.core.errors import ConfigError
from penstock.core.request import Hints
from penstock.routing.complexity.artifact import write
from penstock.routing.complexity.feedback import Calibration, calibrate
from penstock.routing.settings import RouteSettings
from penstock.routing.ways import named

app = typer.Typer(
    help="How a route sees a question, and how it learns from feedback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
STRONGEST = 8
"""Signals that the table shows; --all shows the others too."""
RouteOption = Annotated[str | None, typer.Option("--route", help="Of the YAML file (default: the one by complexity).")]


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help='The question; "-" reads it from standard input.')],
    config: ConfigOption = None,
    route: RouteOption = None,
    share: Annotated[float, typer.Option(min=0, max=1, help="Without a YAML file: the strong model's share.")] = 0.5,
    budget: Annotated[str | None, typer.Option(help="As X-Penstock-Budget: USD, standard or premium.")] = None,
    quality: Annotated[float | None, typer.Option(min=0, max=1, help="As X-Penstock-Quality.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show all signals.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the signals of a question, and the decision that a route makes of them. No model is asked."""
    text = sys.stdin.read() if text == "-" else text
    if not text.strip():
        raise ConfigError("there is no question to explain")
    file = _file(config, route)
    name, settings = ("", _without_file(share)) if file is None else route_of(file, route)
    estimator = estimator_of(settings, Path.cwd() if file is None else file.absolute().parent)
    said = estimator.explain(text) | decision(name, settings, estimator, text, _hints(budget, quality))
    if as_json:
        typer.echo(msgspec.json.encode(said))
    else:
        show(said, None if every else STRONGEST)


@app.command("calibrate")
def calibrate_(
    log: Annotated[
        Path | None, typer.Option(help="CSV or JSON Lines with prompt and score (default: the ledger).")
    ] = None,
    config: ConfigOption = None,
    state: StateOption = None,
    route: RouteOption = None,
    model: Annotated[
        str | None, typer.Option(help="Whose answers were rated (default: the route's small one).")
    ] = None,
    since: Annotated[str, typer.Option(help="Of the ledger: so long ago, such as 30d.")] = "90d",
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("complexity.json"),
    force: Annotated[bool, typer.Option(help="Write it even where it is no better.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit the estimate again, to your own questions and to how good the small model's answers were (0 to 1).

    From a file, or from the ledger: the route needs log_features: true, which keeps numbers that describe a question
    and never its words; scores come by POST /v1/feedback or by shadow calls.
    """
    file = _file(config, route if log is None else None)
    name, settings = ("", None) if file is None else route_of(file, route)
    estimator = estimator_of(settings, Path.cwd() if file is None else file.absolute().parent)
    if log is not None:
        answers = rated.of_file(log, estimator, model)
    elif settings is None:
        raise ConfigError("name a file with --log, or the server's YAML file with --config to read its ledger")
    else:
        _check_model(name, settings, model)
        with reached(file, state) as database:
            answers = rated.of_ledger(database, name, model or _small(settings), time.time() - seconds(since))
    found = calibrate(estimator.artifact, answers)
    written = found.better or force
    if written:
        _write(found, out)
    if as_json:
        typer.echo(msgspec.json.encode(_facts(found) | {"file": str(out) if written else None}))
    else:
        tell(found, out if written else None)


def _check_model(name: str, settings: RouteSettings, model: str | None) -> None:
    known = {target.partition("@")[0] for target in named(settings)}
    if model is not None and model.partition("@")[0] not in known:
        raise ConfigError(f"the route {name} has no model {model[:64]!r}; {nearest(model, known)}")


def _file(config: Path | None, route: str | None) -> Path | None:
    if config is not None or FILE.is_file():
        return config or FILE
    if route is not None:
        raise ConfigError("--route needs the YAML file that it is in: --config penstock.yaml")
    return None


def _without_file(share: float) -> RouteSettings:
    return RouteSettings(models=("the small model", "the strong model"), policy="complexity", strong_share=share)


def _small(settings: RouteSettings) -> str:
    targets = named(settings)
    return min(targets, key=lambda target: targets[target].quality or 0.0)


def _hints(budget: str | None, quality: float | None) -> Hints:
    if budget is None or budget in ("standard", "premium"):
        return Hints(budget=budget, quality=quality)
    try:
        return Hints(budget=float(budget), quality=quality)
    except ValueError:
        raise ConfigError("--budget takes an amount in USD, standard or premium") from None


def _write(found: Calibration, out: Path) -> None:
    try:
        write(found.artifact, out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from None


def _facts(found: Calibration) -> dict[str, Any]:
    facts = {key: value for key, value in found._asdict().items() if key != "artifact"}
    return facts | {"better": found.better, "unsure": found.artifact.unsure}


def show(said: dict[str, Any], most: int | None) -> None:
    """A question's signals, for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("signal", "value", "towards", ""):
        table.add_column(title, justify="right" if title == "value" else "left")
    for signal in said["signals"][:most]:
        push = signal["push"]
        towards = f"{'strong' if push > 0 else 'small'} {abs(push):.2f}"
        table.add_row(signal["name"].replace("_", " "), f"{signal['value']:g}", towards, signal["reason"])
    console = Console(file=sys.stdout, highlight=False)
    console.print(table)
    sure = "known" if said["sure"] else f"not known: {'; '.join(said['unsure_because'])}"
    lines = [f"the small model suffices with probability {said['easy']:.2f}   threshold {said['threshold']:.2f}"]
    lines.append(f"this kind of question is {sure}")
    route = f"route {said['route']}, " if said["route"] else ""
    lines.append(f"{route}policy {said['policy']}: {' → '.join(said['models'])}   ({said['why']})")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


def tell(found: Calibration, out: Path | None) -> None:
    """What a calibration came to, for people."""
    print(f"{found.answers} rated answers; loss on answers that were left out, in nats:")
    print(f"  before {found.before:.4f}   the same number for all {found.constant:.4f}   after {found.after:.4f}")
    for kind in found.accepted:
        print(f"  known from now on, because you have enough of it: {kind}")
    if out is None:
        print("The new estimate is no better than what was there, so nothing was written; --force writes it.")
    else:
        print(f"Written to {out}. Use it with routes.NAME.estimator: {out}")
