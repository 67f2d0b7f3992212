"""`penstock quantize`: a model in fewer bits, and the truth about what that costs and gains."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from penstock.core.errors import ConfigError
from penstock.core.text import Precision

if TYPE_CHECKING:
    from penstock.conversion.quantizing import Report

REFUSED = 3
"""Exit status when the answers became worse than --max-loss allows."""
PRECISIONS = ("int8", "fp16", "bf16", "int4")


def quantize(
    source: Annotated[str, typer.Argument(help="A Hugging Face folder, hf:org/name, an ONNX or OpenVINO file.")],
    precision: Annotated[str, typer.Option(help="int8, fp16, bf16 or int4.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Rows to calibrate int8 on and to measure by: .csv, .jsonl, .json, .txt, .npy or .npz."),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="The column of --data that holds the right answers (default: label, if there).")
    ] = None,
    dynamic: Annotated[bool, typer.Option(help="int8 without calibration; all of --data measures.")] = False,
    out: Annotated[Path | None, typer.Option(help="The folder to write (default: NAME-PRECISION, here).")] = None,
    max_loss: Annotated[float, typer.Option(min=0, max=1, help="The largest loss of quality to accept.")] = 0.01,
    force: Annotated[bool, typer.Option(help="Write it whatever the loss is.")] = False,
    runtime: Annotated[str | None, typer.Option(help="Runtime that will serve it (default: by the format).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model (default: the source's).")] = None,
    trust: Annotated[list[str] | None, typer.Option(help="sha256:... of a file that may run code.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Time to measure speed for.")] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make a smaller, faster version of a model, and report what it costs in quality.

    The report says how large and how fast it is and how far its answers moved, measured here, by the runtime that
    serves it; it is kept in the folder, and shown in the model's metadata. A loss over --max-loss refuses to write:
    exit status 3.
    """
    from penstock.conversion import quantizing
    from penstock.repository import saving, sources
    from penstock.runtimes import registry

    if precision not in PRECISIONS:
        raise ConfigError(f"--precision must be {', '.join(PRECISIONS)}, not {precision!r}")
    if runtime is not None:
        registry.entry(runtime)
    spec = sources.resolve(source, name=name, trust=frozenset(trust or ()), runtime=runtime)
    target = out or Path(f"{spec.name}-{precision}")
    saving.check_target(target)
    wish = quantizing.Wish(cast(Precision, precision), data, label_column, dynamic, seconds)
    with saying() as say:
        outcome = quantizing.derive_and_measure(spec, wish, say)
    loss = outcome.report.measured.quality.loss
    accepted = force or loss <= max_loss
    if accepted:
        quantizing.write(outcome, target, spec.name)
    show(outcome.report, target if accepted else None, max_loss, as_json)
    raise typer.Exit(0 if accepted else REFUSED)


@contextlib.contextmanager
def saying() -> Iterator[Callable[[str], None]]:
    """Tells what is being done, on standard error: on a terminal with a sign of life."""
    from rich.console import Console

    console = Console(file=sys.stderr)

    def say(text: str) -> None:
        console.print(f"penstock: {text}", highlight=False, soft_wrap=True)

    if not console.is_terminal:
        yield say
        return
    with console.status("working"):
        yield say


def show(report: Report, target: Path | None, max_loss: float, as_json: bool) -> None:
    """The report, and whether anything was written."""
    from penstock.cli.quantized import table, verdict

    if as_json:
        line = {"written": None if target is None else str(target), "max_loss": max_loss, "report": report}
        print(msgspec.json.encode(line).decode(), flush=True)
        return
    from rich.console import Console

    console = Console()
    console.print(table(report))
    console.print(verdict(report, target, max_loss), highlight=False, soft_wrap=True)
