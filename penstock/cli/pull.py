"""`penstock pull`: a model of the hub onto this machine's disk, under a short name."""

from __future__ import annotations

from typing import Annotated

import typer

INTERRUPTED = 130


def pull(
    source: Annotated[str, typer.Argument(help="hf:org/name, hf:org/name:Q4_K_M, or a pulled model's name.")],
    name: Annotated[str | None, typer.Option(help="The name to keep it under (default: the repository's).")] = None,
) -> None:
    """Download a model; when it was stopped before, it goes on where it was. What is there already is not fetched.

    penstock pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M
    """
    from penstock.cli import downloading

    try:
        entry = downloading.pull(source, name)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    from penstock.runtimes.generation.memory import in_words

    does = "run" if entry.runtime == "llm" else "serve"
    typer.echo(f"{entry.name} is here ({in_words(entry.size)}): penstock {does} {entry.name}")
