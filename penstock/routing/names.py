"""From the name a client uses to a model and version: aliases, and `model@version`."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.core.errors import BadInput
from penstock.core.model import Models, ModelView, PublicName
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request


class Names:
    """Resolves public names; the step of the path, and the view that protocols look models up in."""

    def __init__(self, handler: Handler, models: Models, aliases: Mapping[str, str]):
        self._handler = handler
        self._models = models
        self._aliases = dict(aliases)

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on under the model's own name and version."""
        if request.model in self._aliases or "@" in request.model:
            request.model, request.version = self.resolve(request.model, request.version)
        return await self._handler(request)

    def resolve(self, name: str, version: str | None) -> tuple[str, str | None]:
        """Model and version for a public name. Raises `BadInput` when a version is given twice."""
        model, _, pinned = self._aliases.get(name, name).partition("@")
        if pinned and version not in (None, pinned):
            raise BadInput(f"{name!r} already names version {pinned!r}; leave the version out of the path")
        return model, pinned or version

    # --- Models, as the protocols see them

    def find(self, name: str, version: str | None = None) -> ModelView:
        """The version that a public name leads to. Raises `UnknownModel`."""
        return self._models.find(*self.resolve(name, version))

    def all(self) -> list[ModelView]:
        """Every served version."""
        return list(self._models.all())

    def public(self) -> list[PublicName]:
        """Every alias."""
        return [PublicName(alias, "alias", (target,)) for alias, target in self._aliases.items()]

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._models.draining
