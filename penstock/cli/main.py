"""The `penstock` command: finds the verb, and loads its file only when it is asked for."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from penstock.core.errors import BadInput, NotFound, PenstockError, SetupError

_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Verb(NamedTuple):
    """Where a command lives, and what the list of commands says about it."""

    module: str
    target: str
    sentence: str


VERBS = {
    "serve": Verb("penstock.cli.serve", "serve", "Serve models over HTTP: files, folders, functions or a YAML file."),
    "run": Verb("penstock.cli.run", "run", "Chat with a language model, or ask it once."),
    "pull": Verb("penstock.cli.pull", "pull", "Download a language model, to be run by its name."),
    "ls": Verb("penstock.cli.ls", "ls", "The language models that were pulled."),
    "ps": Verb("penstock.cli.ps", "ps", "What a running server serves, and how busy it is."),
    "show": Verb("penstock.cli.show", "show", "What is known of a language model."),
    "stop": Verb("penstock.cli.stop", "stop", "Unload a model from a running server."),
    "rm": Verb("penstock.cli.rm", "rm", "Remove a pulled model from the disk."),
    "quantize": Verb(
        "penstock.cli.quantize", "quantize", "Make a smaller, faster version of a model, and report what that costs."
    ),
    "demo": Verb("penstock.cli.demo.command", "demo", "Train three small models, serve them, and ask them over HTTP."),
    "estimate": Verb(
        "penstock.cli.estimate", "estimate", "How much memory a language model will take, before it does."
    ),
    "keys": Verb("penstock.cli.keys", "app", "API keys: who may ask a server, and what."),
    "costs": Verb("penstock.cli.costs", "costs", "What answers cost, what was saved, and how good they were."),
    "prices": Verb("penstock.cli.prices", "prices", "What answers are priced at: yours, and the public list."),
    "route": Verb("penstock.cli.route", "app", "How a route sees a question, and how it learns from feedback."),
    "config": Verb("penstock.cli.config", "app", "Check a YAML file, or print its schema for editors."),
    "trust": Verb("penstock.cli.trust", "app", "Which model files may run code when loaded."),
    "doctor": Verb(
        "penstock.cli.doctor.command", "doctor", "Look this machine over: what works, and what mends the rest."
    ),
    "version": Verb("penstock.cli.version", "version", "The versions of Penstock and what it stands on."),
}


class Verbs(TyperGroup):
    """Lists commands without importing them; imports the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The verbs in the order of use."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as the list shows it: its name and sentence."""
        verb = VERBS.get(cmd_name)
        return None if verb is None else TyperCommand(cmd_name, help=verb.sentence)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that runs."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load(name), rest


def load(name: str) -> Any:
    """A verb's real command."""
    verb = VERBS[name]
    target = getattr(_imported(verb.module), verb.target)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(name)(target)
    return typer.main.get_command(single)


def _imported(module: str) -> ModuleType:
    """A command's file and all it needs; there is no garbage to look for among what is only made, which saves 8 %."""
    gc.disable()
    try:
        return import_module(module)
    finally:
        gc.enable()


app = typer.Typer(cls=Verbs, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"penstock {version('penstock')}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One server for every model, from the notebook to production.

    penstock serve model.onnx    serves a file at http://127.0.0.1:8000

    penstock demo                shows real models answering real data
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. What goes wrong ends with its message: status 2 for what a person mends by asking
    otherwise, such as a wrong file, name or setting; 1 for the rest."""
    _leave_working_folder()
    # From 1.29 on, ONNX Runtime reports models to its maker unless told not to; workers inherit this.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        app(arguments, prog_name="penstock")
    except PenstockError as error:
        print(f"penstock: {error.message}", file=sys.stderr)
        sys.exit(2 if _mendable(error) else 1)
    except OSError as error:
        if error.errno not in _UNWRITTEN:
            raise
        # Nothing more gets out, also not at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"penstock: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _mendable(error: PenstockError) -> bool:
    """Whether asking otherwise helps; what may be tried again as it is has failed."""
    return isinstance(error, (SetupError, BadInput, NotFound)) and not error.may_retry


def _leave_working_folder() -> None:
    """Takes back the working folder that `python -m` puts first on the path: a file there is no library."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    ours = module is not None and module.name == __spec__.name
    if ours and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]


if __name__ == "__main__":
    main()
