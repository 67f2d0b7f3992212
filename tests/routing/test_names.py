"""Public names: aliases, model@version, and what contradicts itself."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.errors import BadInput
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.routing.names import Names


class Seen:
    """The next step and the models: remembers what it was asked for."""

    draining = False

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    async def __call__(self, request: Request) -> Reply:
        self.asked.append((request.model, request.version))
        return Reply(Meta())

    def find(self, name: str, version: str | None = None) -> tuple[str, str | None]:
        return name, version

    def all(self) -> list[str]:
        return ["iris"]


@pytest.mark.parametrize(
    ("name", "version", "leads_to"),
    [
        ("iris", None, ("iris", None)),
        ("iris", "2", ("iris", "2")),
        ("iris@2", None, ("iris", "2")),
        ("iris@2", "2", ("iris", "2")),
        ("flowers", None, ("iris", "1")),
        ("latest", "3", ("iris", "3")),
    ],
)
def test_names_lead_to_versions(name: str, version: str | None, leads_to: tuple[str, str | None]) -> None:
    seen = Seen()
    names = Names(seen, seen, {"flowers": "iris@1", "latest": "iris"})  # type: ignore[arg-type]
    asyncio.run(names(Request("1", name, {}, version)))
    assert seen.asked == [leads_to]
    assert names.find(name, version) == leads_to


def test_two_versions_at_once_are_refused() -> None:
    seen = Seen()
    names = Names(seen, seen, {"flowers": "iris@1"})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="already names version '1'"):
        asyncio.run(names(Request("1", "flowers", {}, "2")))
    assert seen.asked == []
