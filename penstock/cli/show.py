"""`penstock show`: what is known of a language model, served or not."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer

from penstock.cli.chat.find import is_there, source_of
from penstock.cli.chat.server import DEFAULT_URL, Server, given_url
from penstock.core.errors import SetupError, UnknownModel
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature


def show(
    model: Annotated[str, typer.Argument(help="A served or pulled model, a file, a folder, or hf:org/name.")],
    template: Annotated[bool, typer.Option("--template", help="Print the chat template alone.")] = False,
    url: Annotated[
        str | None, typer.Option(help="The server to ask (default $PENSTOCK_URL, or this machine's).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a model: its size, what it can do, its settings, its license. Nothing is loaded."""
    said = described(model, url)
    if as_json:
        typer.echo(msgspec.json.encode(said))
    elif template:
        typer.echo(said["template"])
    else:
        tables(model, said)


def described(model: str, url: str | None) -> dict[str, Any]:
    """What the server that serves it says, else what its files say. Raises `SetupError` when it is nowhere."""
    named = given_url(url)
    server = Server(named or DEFAULT_URL)
    if is_there(server, named):
        with contextlib.suppress(UnknownModel):
            found: dict[str, Any] = server.post("/api/show", {"model": model})
            return found
    source = source_of(model)
    if source is None:
        raise SetupError(f"{model[:128]!r} is no served and no pulled model (penstock ps, penstock ls), and no file")
    return of_files(source)


_SAID = ("general.architecture", "general.parameter_count", "general.file_type")
"""What the details say already."""


@dataclass
class _View:
    """A model that is not served, as far as its files tell."""

    spec: ModelSpec
    signature: Signature | None = None


def of_files(source: str) -> dict[str, Any]:
    """What a model's files say. Raises `SetupError` when it is no language model."""
    from penstock.protocols.ollama import described as words
    from penstock.repository.sources import resolve

    spec = resolve(source)
    if words.language_of(spec) is None:
        raise SetupError(f"{source} is no language model; penstock serve takes it all the same")
    return words.shown(_View(spec), "")  # type: ignore[arg-type]


def tables(name: str, said: Mapping[str, Any]) -> None:
    """For people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for key, value in rows(said):
        table.add_row(Text(key, style="bold"), Text(str(value)))
    console = Console(file=sys.stdout, highlight=False)
    console.print(Text(name, style="bold"))
    console.print(table)


def rows(said: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What is worth a line."""
    details = said["details"]
    found: list[tuple[str, Any]] = [
        ("architecture", details["family"]),
        ("parameters", details["parameter_size"]),
        ("quantization", details["quantization_level"]),
        ("format", details["format"]),
        ("can do", ", ".join(said["capabilities"])),
        *((label(key), value) for key, value in said["model_info"].items() if key not in _SAID),
        ("settings", "; ".join(" ".join(line.split()) for line in said["parameters"].splitlines())),
        ("license", said["license"]),
        ("chat template", f"{len(said['template'])} characters; --template prints it" if said["template"] else "none"),
    ]
    return [(key, value) for key, value in found if value not in ("", None)]


def label(key: str) -> str:
    """A key of GGUF in words; what the server adds is of the model as it is served."""
    room, _, name = key.partition(".")
    words = name.replace("_", " ").replace(".", " ")
    if name == "context_length":
        return "context served" if room == "penstock" else "context trained"
    return words
