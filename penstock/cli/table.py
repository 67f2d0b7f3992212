"""What a person sees when a server is up: models and routes, where they answer, and curls to paste."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from penstock.cli import language, routes
from penstock.core.access import KEY_VARIABLE
from penstock.core.language import GENERATION
from penstock.core.model import ModelSpec, State
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES
from penstock.core.text import TOKENS, TRUNCATED
from penstock.protocols.docs.texts import rows_for
from penstock.routing.settings import RouteSettings
from penstock.runtimes.remote.choice import REMOTE
from penstock.scheduling.settings import DeploymentSettings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MANY = 6
"""Inputs or labels beyond which the table only counts them."""
LONG = 1200
"""Characters of JSON beyond which a curl is not for pasting."""
NO_ROUTES: Mapping[str, RouteSettings] = {}
NEED_KEY = f"Requests need a key: the lines below show that in {KEY_VARIABLE} (penstock keys create TENANT makes one)\n"


class Shown(Protocol):
    """A model version as the table sees it."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def signature(self) -> Signature | None: ...

    @property
    def settings(self) -> DeploymentSettings: ...

    @property
    def state(self) -> State: ...

    @property
    def threads(self) -> int: ...


def startup(
    models: Sequence[Shown],
    url: str,
    console: Console | None = None,
    *,
    served_routes: Mapping[str, RouteSettings] = NO_ROUTES,
    keys: bool = False,
) -> None:
    """Prints the tables, the URLs, and curls. `keys`: whether requests need one."""
    from rich.console import Console

    console = console or Console(file=sys.stdout)
    console.print(table(models))
    if served_routes:
        console.print(routes.table(routes.of_settings(served_routes)))
    for model in models:
        for line in language.notes(model):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"Serving at [bold]{url}[/]   docs {url}/docs   metrics {url}/metrics\n", highlight=False, soft_wrap=True
    )
    if keys:
        console.print(NEED_KEY, highlight=False, soft_wrap=True)
    for line in examples(models, url, served_routes, keys=keys):
        # Not through rich's wrapping: the line is for pasting.
        console.file.write(f"{line}\n\n")
    console.print("Ctrl-C stops it, after the requests it has accepted.", style="dim", highlight=False)
    console.file.flush()


def table(models: Sequence[Shown]) -> Table:
    """One line per model version."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("model", "version", "runtime", "takes", "gives", "workers"):
        made.add_column(title, overflow="fold")
    for model in models:
        made.add_row(*(_plain(cell) for cell in cells(model)))
    return made


def cells(model: Shown) -> list[str]:
    """A model's line."""
    spec, settings = model.spec, model.settings
    signature = model.signature or Signature(())
    described = language.described(spec)
    state = "" if model.state is State.READY else f" ({model.state.lower()})"
    where = "in the server" if settings.placement == "inline" else f"{settings.replicas} × {threads(model.threads)}"
    asked = [input for input in signature.inputs if not (signature.task and input.optional)]
    gives = [output for output in signature.outputs if output.name not in (TOKENS, TRUNCATED)]
    if described is not None:
        return [spec.name + state, spec.version, *language.cells(described), where]
    runtime = f"{spec.runtime} {spec.precision}".strip()
    if spec.runtime == REMOTE:
        runtime, where = str(spec.options["provider"]), "at the provider"
        if signature.task == GENERATION:
            return [spec.name + state, spec.version, runtime, "messages", "text", where]
    return [spec.name + state, spec.version, runtime, compact(asked), compact(gives), where]


def threads(count: int) -> str:
    """Such as "2 threads"."""
    return f"{count} thread{'' if count == 1 else 's'}"


def compact(specs: Sequence[TensorSpec]) -> str:
    """Inputs or outputs in few characters: input FP32[n, 4]"""
    if len(specs) > MANY:
        kinds = ", ".join(sorted({spec.datatype for spec in specs}))
        return f"{len(specs)} columns: {specs[0].name}, {specs[1].name}, ... ({kinds})"
    return ", ".join(f"{spec.name} {spec.datatype}{shape(spec.shape)}" for spec in specs) or "?"


def shape(sizes: Sequence[int]) -> str:
    """Such as [n, 4]; a column has none."""
    if tuple(sizes) == (-1,):
        return ""
    return "[" + ", ".join("n" if size == -1 else str(size) for size in sizes) + "]"


def examples(
    models: Sequence[Shown], url: str, served_routes: Mapping[str, RouteSettings] = NO_ROUTES, *, keys: bool = False
) -> list[str]:
    """Commands to paste: one per route, those that generate text first, and one per model that no route asks."""
    named = {name: m for m in models for name in (m.spec.name, f"{m.spec.name}@{m.spec.version}")}
    behind = {name: [named[t] for t in (*r.models, *r.fallback) if t in named] for name, r in served_routes.items()}
    asked = sorted(((name, of[0]) for name, of in behind.items() if of), key=lambda each: not generates(each[1]))
    within = [id(model) for of in behind.values() for model in of]
    asked += [(model.spec.name, model) for model in models if id(model) not in within]
    shows = f' -H "Authorization: Bearer ${KEY_VARIABLE}"' if keys else ""
    lines = [curl(model, url, name) for name, model in asked]
    return [line if line.startswith("#") else line + shows for line in lines]


def generates(model: Shown) -> bool:
    """Whether it answers with text that it makes up."""
    is_said = model.signature is not None and model.signature.task == GENERATION
    return is_said or language.described(model.spec) is not None


def curl(model: Shown, url: str, name: str = "") -> str:
    """A command that asks the model, or by `name` a route to it, with a row of its example or zeros."""
    name, described = name or model.spec.name, language.described(model.spec)
    if described is not None:
        return language.curl(name, described, url)
    if generates(model):
        return language.chat(name, url)
    body = json.dumps({"inputs": [example_row(model)]}, ensure_ascii=False)
    path = f"{url}/models/{name}/predict"
    if len(body) > LONG:
        return f"# {name}: its rows are too long to show; see {url}/docs and POST to {path}"
    return f"curl {path} -d {shlex.quote(body)}"


def example_row(model: Shown) -> Any:
    """One row that the model takes."""
    example = rows_for(model)
    if example:
        return example[0]
    signature = model.signature
    if signature is None or not signature.inputs:
        return 0
    values = {spec.name: zeros(spec, batched=signature.batched) for spec in signature.inputs if not spec.optional}
    return next(iter(values.values())) if len(signature.inputs) == 1 else values


def zeros(spec: TensorSpec, *, batched: bool) -> Any:
    """One row's value of an input: zeros, or an empty text; one where any size fits."""
    kind = DTYPES[spec.datatype].kind
    value: Any = "" if kind == "O" else False if kind == "b" else 0 if kind in "iu" else 0.0
    for size in reversed(spec.shape[1:] if batched else spec.shape):
        value = [value] * (1 if size == -1 else size)
    return value


def _plain(cell: str) -> Any:
    from rich.text import Text

    return Text(cell)
