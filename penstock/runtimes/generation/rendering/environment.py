"""Jinja as chat templates expect it from transformers, without what a template needs no right to."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Refused(TemplateError):
    """The template's own refusal of a conversation, in its words."""


class _Generation(Extension):
    """`{% generation %}` marks an assistant's words for training; here it is what it encloses."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def compiled(text: str, bos: str, eos: str) -> Template:
    """The template, ready to render. Raises `TemplateError`, or what compiling a hostile one raises.

    Nothing is computed while it compiles: constants could be huge.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols], optimized=False, cache_size=0
    )
    environment.filters["tojson"] = _to_json
    environment.globals.pop("lipsum")
    environment.globals.update(
        raise_exception=_raise_exception, strftime_now=_strftime_now, bos_token=bos, eos_token=eos
    )
    return environment.from_string(text)


def _raise_exception(message: object) -> None:
    raise Refused(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is, unlike Jinja's own filter, which writes it for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
