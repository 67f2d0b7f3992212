"""`penstock trust`: the person's own list of model files that may run code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from penstock.core.errors import ConfigError
from penstock.repository.trust import TrustStore, digest_of, parse_digests

app = typer.Typer(
    help="Which model files may run code when they are loaded: pickles can do anything that you can.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
What = Annotated[str, typer.Argument(help="A model file or folder, or sha256:...")]


@app.command()
def add(what: What, name: Annotated[str, typer.Option(help="A name to remember it by.")] = "") -> None:
    """Trust a file: only do so when you made it, or trust who did."""
    for digest, label in digests(what).items():
        TrustStore().add(digest, name or label)
        typer.echo(f"trusted: sha256:{digest} {name or label}".rstrip())


@app.command()
def remove(what: What) -> None:
    """Trust a file no longer."""
    for digest in digests(what):
        known = TrustStore().remove(digest)
        typer.echo(f"{'no longer trusted' if known else 'was not trusted'}: sha256:{digest}")


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the digests that are trusted."""
    store = TrustStore()
    entries = store.entries()
    if as_json:
        trusted = [{"digest": f"sha256:{d}", "name": e.name, "added_at": e.added_at} for d, e in entries.items()]
        typer.echo(msgspec.json.encode({"file": str(store.path), "trusted": trusted}))
    elif entries:
        typer.echo("\n".join(f"sha256:{d}  {e.added_at}  {e.name}".rstrip() for d, e in entries.items()))
    else:
        typer.echo("nothing is trusted yet; penstock.save and penstock trust add put files here")


def digests(what: str) -> dict[str, str]:
    """Hexadecimal digests, with names, of what a person names. Raises `ConfigError` when it is nothing."""
    if what.startswith("sha256:"):
        return dict.fromkeys(parse_digests([what]), "")
    path = Path(what)
    if path.is_dir():
        from penstock.repository.manifest import model_file, read_manifest

        manifest = read_manifest(path)
        return {digest_of(model_file(path, manifest)): manifest.name}
    if not path.is_file():
        raise ConfigError(f"there is no {what}; name a model file or folder, or sha256: and its digest")
    return {digest_of(path): path.stem}
