"""The model that a client names; where it is not served but was pulled, what to do about that."""

from __future__ import annotations

from penstock.core.errors import SetupError, UnknownModel
from penstock.protocols.aside import aside
from penstock.protocols.generation.ask import Asker, Named
from penstock.protocols.http.message import HttpRequest


async def find(asker: Asker, http: HttpRequest, name: str) -> Named:
    """The model that a name means, whatever it does. Raises `UnknownModel`, `Forbidden`."""
    try:
        return asker.find(http, name)
    except UnknownModel:
        if (pulled := await aside(_pulled, name)) is None:
            raise
        says = f"{pulled} was pulled, and this server does not serve it; penstock serve {pulled} does"
        raise UnknownModel(says) from None


def _pulled(name: str) -> str | None:
    from penstock.repository import library

    try:
        found = library.find(name)
    except SetupError:
        return None
    return None if found is None else found.name
