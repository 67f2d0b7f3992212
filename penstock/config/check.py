"""From plain data to `Config`: every setting checked where it stands, all problems told together."""

from __future__ import annotations

import functools
import re
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from penstock.config import names, routes
from penstock.config.document import Document, Path, Problem, nearest
from penstock.config.expected import convert, shown
from penstock.config.schema import Config, ModelSettings
from penstock.core.errors import ConfigError
from penstock.repository.manifest import NAME
from penstock.repository.trust import parse_digests
from penstock.runtimes.registry import RUNTIMES
from penstock.scheduling.order import waves

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def checked(document: Document) -> tuple[Config | None, list[Problem]]:
    """The configuration, or None and what is wrong with it."""
    check = _Check(document)
    config = check.struct(Config, document.data, ())
    if config is not None and not check.problems:
        check.whole(config)
    return (config, []) if not check.problems else (None, check.problems)


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """A struct's settings and their types; of a group that may be left out, the group's."""
    return {name: _group(hint) or hint for name, hint in get_type_hints(kind, include_extras=True).items()}


def _group(hint: Any) -> Any:
    """The struct of `Struct | None`."""
    parts = get_args(hint)
    return next((part for part in parts if is_struct(part)), None) if type(None) in parts else None


def is_struct(hint: Any) -> bool:
    """Whether a setting is a group of settings."""
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def struct_values(hint: Any) -> type | None:
    """The struct that a mapping's values are, such as the models by name; also where it may be something else."""
    arguments = get_args(hint)
    if get_origin(hint) is dict:
        return arguments[1] if is_struct(arguments[1]) else None
    return next((found for part in arguments if (found := struct_values(part)) is not None), None)


class _Check:
    """Walks the data beside the types, so that every message knows its path."""

    def __init__(self, document: Document):
        self.problems: list[Problem] = []
        self._document = document

    def refuse(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))

    # --- one setting at a time

    def struct(self, kind: type, data: Any, path: Path) -> Any:
        """A group of settings, or None when something in it is wrong."""
        if not isinstance(data, dict):
            self.refuse(
                path, f"must be a mapping of settings ({', '.join(list(hints(kind))[:5])}...), not {shown(data)}"
            )
            return None
        before = len(self.problems)
        values = {key: self._member(kind, key, value, (*path, str(key))) for key, value in data.items()}
        for field in msgspec.structs.fields(kind):
            if field.required and field.name not in data:
                self.refuse((*path, field.name), "is missing")
        return kind(**values) if len(self.problems) == before else None

    def _member(self, kind: type, key: str, value: Any, path: Path) -> Any:
        hint = hints(kind).get(key)
        if hint is None:
            self.refuse(path, f"unknown setting; {nearest(str(key), hints(kind))}")
            return None
        if is_struct(hint):
            return self.struct(hint, value, path)
        inner = struct_values(hint)
        if inner is not None and (isinstance(value, dict) or get_origin(hint) is dict):
            return self._mapping(inner, value, path)
        try:
            return convert(value, hint)
        except ValueError as error:
            self.refuse(path, str(error))
            return None

    def _mapping(self, kind: type, data: Any, path: Path) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.refuse(path, f"must be a mapping of names to settings, not {shown(data)}")
            return {}
        return {str(name): self._entry(kind, value, (*path, str(name))) for name, value in data.items()}

    def _entry(self, kind: type, value: Any, path: Path) -> Any:
        """One model; a text alone is its source."""
        if kind is ModelSettings and isinstance(value, str):
            value = {"source": value}
        return self.struct(kind, value, path)

    # --- what single settings cannot tell

    def whole(self, config: Config) -> None:
        """Ranges, and settings that name each other."""
        for name, model in config.models.items():
            self._model(name, model)
        self._needs(config)
        for alias, target in config.aliases.items():
            self._alias(alias, target, config)
        for name in config.routes:
            self._name(("routes", name), name)
        for path, message in (*routes.problems(config), *names.problems(config)):
            self.refuse(path, message)
        self._positive(config.http.limits, ("http", "limits"))
        self._positive(config.admission, ("admission",))

    def _model(self, name: str, model: ModelSettings) -> None:
        path = ("models", name)
        self._name(path, name)
        if model.version is not None:
            self._name((*path, "version"), model.version)
        if model.runtime is not None and model.runtime not in RUNTIMES:
            self.refuse(
                (*path, "runtime"), f"there is no runtime {model.runtime!r}; {nearest(model.runtime, RUNTIMES)}"
            )
        if _DEVICE.fullmatch(model.device) is None:
            self.refuse((*path, "device"), f"must be auto, cpu, cuda or cuda:N, not {model.device!r}")
        try:
            parse_digests((model.trust,) if isinstance(model.trust, str) else model.trust)
        except ConfigError as error:
            self.refuse((*path, "trust"), error.message)
        try:
            model.check()
        except ConfigError as error:
            # These messages begin with the setting's own name.
            setting, _, message = error.message.partition(" ")
            self.refuse((*path, *setting.split(".")), message)
        if model.placement == "inline":
            self.refuse((*path, "placement"), "inline is for penstock.serve in a notebook; leave it out")
        self._positive(model.supervision, (*path, "supervision"))
        if model.cache is not None and not model.pure:
            self.refuse((*path, "cache"), "cannot be used with pure: false: a row that is known does not run again")

    def _needs(self, config: Config) -> None:
        for name, model in config.models.items():
            for other in set(model.needs) - set(config.models):
                self.refuse(("models", name, "needs"), f"there is no model {other!r}; {nearest(other, config.models)}")
        if not self.problems:
            try:
                waves({name: model.needs for name, model in config.models.items()})
            except ConfigError as error:
                self.refuse(("models",), error.message)

    def _alias(self, alias: str, target: str, config: Config) -> None:
        path = ("aliases", alias)
        self._name(path, alias)
        model = target.partition("@")[0]
        if alias in config.models:
            self.refuse(path, "is a model's name already; an alias needs one of its own")
        elif model not in config.models and model not in config.routes and config.models:
            self.refuse(path, f"there is no model {model!r}; {nearest(model, [*config.models, *config.routes])}")

    def _name(self, path: Path, name: str) -> None:
        if NAME.fullmatch(name) is None:
            self.refuse(path, "cannot be used: letters, digits, '.', '_' and '-', at most 128, a letter or digit first")

    def _positive(self, settings: msgspec.Struct, path: Path) -> None:
        for key in settings.__struct_fields__:
            value = getattr(settings, key)
            if isinstance(value, (int, float)) and not value > 0:
                self.refuse((*path, key), f"must be over 0, not {value}")
