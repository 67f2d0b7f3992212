"""The price list that comes with Penstock: what providers ask, and when somebody looked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from penstock.core.prices import Price

_DATED = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})(?:-v\d+(?::\d+)?)?$|-latest$")
"""What providers append to a model's name to mean one state of it."""
_REGION = re.compile(r"^(?:us|eu|global|apac|jp|au|us-gov)\.")
"""What Bedrock puts before it."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"alike": "as"}):
    """A provider's prices. `source`: where it publishes them; `checked`: when they were last compared; `alike`: the
    provider whose prices hold for what is not listed."""

    source: str
    checked: str
    models: dict[str, Price] = {}
    alike: str = ""


class Public(msgspec.Struct, frozen=True):
    """The whole list. `date`: of its last change."""

    date: str
    sections: dict[str, Section]

    def price(self, provider: str, model: str) -> Price | None:
        """What a provider asks for a model; one state of a model costs what the model costs, unless it is listed."""
        section = self.sections.get(provider)
        if section is None:
            return None
        for name in (model, _DATED.sub("", model), _REGION.sub("", model)):
            if (found := section.models.get(name)) is not None:
                return found
        return self.price(section.alike, model) if section.alike else None

    def named(self, part: str) -> Iterator[tuple[str, Price, str]]:
        """ "provider:model", price, and when it was checked, of those with `part` in their name."""
        for provider, section in self.sections.items():
            for model, price in section.models.items():
                if part.lower() in f"{provider}:{model}".lower():
                    yield f"{provider}:{model}", price, section.checked


@cache
def public() -> Public:
    """The list, read once."""
    document = _document()
    date = str(document.pop("date"))
    return Public(date, msgspec.convert(document, dict[str, Section], strict=False))


def _document() -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = files(__package__).joinpath("public.yaml").read_text("utf-8")
    # A date stays the text that it is.
    document: dict[str, Any] = yaml.load(re.sub(r"((?:date|checked): )(\S+)", r'\1"\2"', text), loader)  # noqa: S506
    return document
