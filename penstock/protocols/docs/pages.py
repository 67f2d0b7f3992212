"""/openapi.json and /docs."""

from __future__ import annotations

from penstock.core.model import Models
from penstock.protocols.http.routes import Routes


class Docs:
    """The description of what is served, for machines and people."""

    def __init__(self, models: Models, version: str):
        self._models = models
        self._version = version

    def mount(self, routes: Routes) -> None:
        """Adds the paths."""
