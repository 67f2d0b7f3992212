"""Settings from environment variables: PENSTOCK_HTTP__PORT is http.port; PORT is honoured too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_origin

import msgspec

from penstock.config.check import hints, is_struct, struct_values
from penstock.config.document import Document, Origin, Path, Problem, dotted, nearest, refusal
from penstock.config.expected import item_of
from penstock.config.lines import plain
from penstock.config.schema import Config, ModelSettings
from penstock.core.access import KEY_VARIABLE, SERVER_VARIABLE
from penstock.core.nearest import closest

PREFIX = "PENSTOCK_"
NO_SETTINGS = frozenset({"PENSTOCK_CACHE", "PENSTOCK_HOME", SERVER_VARIABLE, KEY_VARIABLE})
# A Kubernetes service that is called penstock puts variables such as PENSTOCK_PORT=tcp://10.0.0.1:8000 into every pod.
_KUBERNETES = re.compile(r".*(_SERVICE_(HOST|PORT)(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Wrong(Exception):
    """A variable that names no setting; the message says what would."""


def apply(document: Document, environ: Mapping[str, str]) -> None:
    """Puts the environment's settings over the document's. Raises `ConfigError` for names that are none."""
    problems = []
    if environ.get("PORT"):
        document.set(("http", "port"), typed(environ["PORT"], int), Origin("environment variable PORT"))
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in NO_SETTINGS or _is_kubernetes(name, environ[name]):
            continue
        origin = f"environment variable {name}"
        try:
            path, hint = locate(name, document.data, environ)
        except Wrong as error:
            problems.append(Problem(origin, None, "", str(error)))
            continue
        document.set(path, typed(environ[name], hint), Origin(origin))
    if problems:
        raise refusal(problems)


def _is_kubernetes(name: str, value: str) -> bool:
    return _KUBERNETES.fullmatch(name) is not None or _ADDRESS.match(value) is not None


def locate(name: str, data: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Path, Any]:
    """The path that a variable sets, and its type. Raises `Wrong`."""
    path: Path = ()
    hint: Any = Config
    for part in name.removeprefix(PREFIX).split("__"):
        if is_struct(hint):
            key = _key(part, hints(hint), path)
            path, hint = (*path, key), hints(hint)[key]
        elif struct_values(hint) is not None:
            path, hint = (*path, _model(part, data, environ)), struct_values(hint)
        elif get_origin(hint) is dict:
            path, hint = (*path, part.lower()), get_args(hint)[1]
        else:
            raise Wrong(f"{dotted(path)} holds no settings of its own; did you mean {variable(path)}?")
    if is_struct(hint) and hint is not ModelSettings:
        examples = ", ".join(variable((*path, key)) for key in list(hints(hint))[:3])
        raise Wrong(f"{dotted(path)} is a group of settings; name one of them, such as {examples}")
    return path, str if hint is ModelSettings else hint


def _key(part: str, known: Iterable[str], path: Path) -> str:
    names = {key.upper(): key for key in known}
    if part in names:
        return names[part]
    wrong = variable((*path, part))
    siblings = [variable((*path, key)) for key in names.values()]
    near = closest(wrong, siblings + _variables(Config, ()))
    if near:
        raise Wrong(f"names no setting; did you mean {near}?")
    raise Wrong(f"names no setting; known are: {', '.join(siblings)}")


def _variables(kind: type, path: Path) -> list[str]:
    """The variables of every setting outside the models."""
    found = []
    for key, hint in hints(kind).items():
        below = (*path, key)
        found += _variables(hint, below) if is_struct(hint) else [variable(below)]
    return found


def _model(part: str, data: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """The model that is meant; one that the file lacks must come with its source."""
    models = data.get("models")
    names = list(models) if isinstance(models, dict) else []
    for name in names:
        if _upper(str(name)) == part:
            return str(name)
    own = f"{PREFIX}MODELS__{part}"
    if own in environ or f"{own}__SOURCE" in environ:
        return part.lower()
    raise Wrong(f"there is no model {part.lower()}; {nearest(part.lower(), [str(name) for name in names])}")


def variable(path: Iterable[str]) -> str:
    """The variable that sets a path."""
    return PREFIX + "__".join(_upper(part) for part in path)


def _upper(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def typed(text: str, hint: Any) -> Any:
    """A variable's text as the setting's type; as it is when it cannot be that (the check says so)."""
    kinds = {get_origin(part) or part for part in (hint, *get_args(hint))}
    if kinds & {list, tuple} and not text.startswith("["):
        items = [item.strip() for item in text.split(",") if item.strip()]
        return items[0] if str in kinds and len(items) == 1 else [typed(item, item_of(hint)) for item in items]
    if kinds & {list, tuple, dict} or hint is Any:
        return plain(text)
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError:
        return text
