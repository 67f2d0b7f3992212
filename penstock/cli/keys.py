"""`penstock keys`: who may ask a server, and what."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import msgspec
import typer

from penstock.admission.keys.key import DEFAULT_VERBS, Key
from penstock.admission.keys.secret import id_in
from penstock.admission.keys.store import KeyStore
from penstock.cli.durations import in_words, moment, seconds
from penstock.cli.state import ConfigOption, StateOption, reached
from penstock.core.errors import ConfigError
from penstock.core.principal import VERBS

app = typer.Typer(
    help="API keys: once there is one, every request to the server needs one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Id = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or the whole key.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
VERBS_HELP = f"What it allows, of {', '.join(VERBS)}; with commas between."


@app.command()
def create(
    tenant: Annotated[str, typer.Argument(help="Who asks and pays, such as acme or team-a.")],
    name: Annotated[str, typer.Option(help="A name to remember it by.")] = "",
    verbs: Annotated[str, typer.Option(help=VERBS_HELP)] = ",".join(DEFAULT_VERBS),
    routes: Annotated[
        str | None, typer.Option(help="The routes and models it may use, with commas between (default: all).")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="30d, 12h or 2030-12-31 (default: never).")] = None,
    config: ConfigOption = None,
    state: StateOption = None,
    as_json: Json = False,
) -> None:
    """Make a key, and print it: this once, for only a digest of it is kept."""
    ends = None if expires is None else moment(expires, time.time())
    allowed = None if routes is None else _listed(routes)
    with reached(config, state) as database:
        key, text = KeyStore(database).create(tenant, name=name, verbs=_listed(verbs), routes=allowed, expires_at=ends)
    if as_json:
        typer.echo(msgspec.json.encode({**shown(key), "key": text}))
        return
    typer.echo(text)
    _say(f"{key.tenant}'s key {key.id} may {_may(key)}; {_ends(key)}. Keep it: it is not shown again.")
    _say(f"Servers that keep their state in {database.shown} ask for keys from now on.")


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those that were revoked.")] = False,
    config: ConfigOption = None,
    state: StateOption = None,
    as_json: Json = False,
) -> None:
    """List the keys: whose they are, what they allow, when they were used."""
    with reached(config, state) as database:
        known = [] if database.empty else KeyStore(database).all()
    keys = [key for key in known if tenant in (None, key.tenant) and (all_ or key.revoked_at is None)]
    if as_json:
        typer.echo(msgspec.json.encode([shown(key) for key in keys]))
    elif keys:
        _table(keys)
    else:
        _say(f"there are no such keys in {database.shown}; penstock keys create TENANT makes one")


@app.command()
def revoke(key: Id, config: ConfigOption = None, state: StateOption = None) -> None:
    """End a key for good; servers know it within seconds."""
    with reached(config, state) as database:
        ended = KeyStore(database).revoke(_id(key))
    typer.echo(f"revoked: {ended.id} ({ended.tenant})")


@app.command()
def rotate(
    key: Id,
    grace: Annotated[str, typer.Option(help="How long the old secret stays good too: 24h, 7d.")] = "0s",
    config: ConfigOption = None,
    state: StateOption = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret, and print it; id, tenant and what it allows stay."""
    grace_s = seconds(grace)
    with reached(config, state) as database:
        text = KeyStore(database).rotate(_id(key), grace_s)
    until = time.time() + grace_s if grace_s else None
    if as_json:
        typer.echo(msgspec.json.encode({"id": _id(key), "key": text, "previous_until": until}))
        return
    typer.echo(text)
    _say(f"The old one is good until {in_words(until)}." if until else "The old one is good no longer.")


def shown(key: Key) -> dict[str, Any]:
    """A key as JSON shows it."""
    plain: dict[str, Any] = msgspec.to_builtins(key)
    return {**plain, "state": key.state(time.time())}


def cells(key: Key) -> list[str]:
    """A key's line in the table."""
    state = key.state(time.time())
    ends = f" until {in_words(key.expires_at)}" if state == "active" and key.expires_at else ""
    routes = "all" if key.routes is None else ", ".join(key.routes)
    used = in_words(key.used_at) or "never"
    return [key.id, key.tenant, key.name, ", ".join(key.verbs), routes, in_words(key.created_at), used, state + ends]


def _table(keys: list[Key]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("id", "tenant", "name", "may", "routes", "made", "used", "state"):
        table.add_column(title, overflow="fold", no_wrap=title == "id")
    for key in keys:
        table.add_row(*(Text(cell) for cell in cells(key)))
    Console(file=sys.stdout).print(table)


def _may(key: Key) -> str:
    where = "everywhere" if key.routes is None else f"at {', '.join(key.routes)}"
    return f"{' and '.join(key.verbs)} {where}"


def _ends(key: Key) -> str:
    return f"it ends at {in_words(key.expires_at)}" if key.expires_at else "it does not end by itself"


def _id(text: str) -> str:
    found = id_in(text)
    if not found:
        raise ConfigError("this is no key, and no key's id; penstock keys list shows the ids")
    return found


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _say(text: str) -> None:
    print(text, file=sys.stderr)
