"""From the name a client uses to a model and version, or to a route: aliases, and `model@version`."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.core.errors import BadInput, UnknownModel
from penstock.core.model import Models, ModelView, PublicName
from penstock.core.nearest import unknown
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request
from penstock.routing.settings import RouteSettings
from penstock.routing.views import RouteViews

NONE: Mapping[str, RouteSettings] = {}


class Names:
    """Resolves public names; the step of the path, and the view that protocols look models up in."""

    def __init__(
        self, handler: Handler, models: Models, aliases: Mapping[str, str], routes: Mapping[str, RouteSettings] = NONE
    ):
        self._handler = handler
        self._models = models
        self._aliases = dict(aliases)
        self._routes = RouteViews(dict(routes), models)

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on under the model's own name and version; who asked goes on to know it by the name that
        was asked for."""
        if request.model in self._aliases or "@" in request.model:
            model, version = self.resolve(request.model, request.version)
            request = request.to(model, version, request.deadline, whole=request.whole)
        return await self._handler(request)

    def resolve(self, name: str, version: str | None) -> tuple[str, str | None]:
        """Model and version for a public name. Raises `BadInput` when a version is given twice."""
        model, _, pinned = self._aliases.get(name, name).partition("@")
        if pinned and version not in (None, pinned):
            raise BadInput(f"{name!r} already names version {pinned!r}; leave the version out of the path")
        return model, pinned or version

    # --- Models, as the protocols see them

    def find(self, name: str, version: str | None = None) -> ModelView:
        """The version, or the route, that a public name leads to. Raises `UnknownModel`, with what is near."""
        name, version = self.resolve(name, version)
        route = self._routes.find(name)
        if route is None:
            return self._model(name, version)
        if version is not None:
            raise UnknownModel(f"{name!r} is a route, and routes have no versions; name the model to ask a version")
        return route

    def _model(self, name: str, version: str | None) -> ModelView:
        try:
            return self._models.find(name, version)
        except UnknownModel:
            served = [view.spec.name for view in self._models.all()]
            if name in served:
                raise
            raise unknown(name, [*served, *(public.name for public in self.public())]) from None

    def all(self) -> list[ModelView]:
        """Every served version."""
        return list(self._models.all())

    def public(self) -> list[PublicName]:
        """Routes and aliases."""
        aliases = [PublicName(alias, "alias", (model,)) for alias, model in self._aliases.items()]
        return [*self._routes.public(), *aliases]

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._models.draining
