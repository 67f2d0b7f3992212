"""The models as a caller may see them: a key may be for some models and routes alone."""

from __future__ import annotations

from penstock.core.errors import Forbidden, UnknownModel
from penstock.core.model import Catalog, ModelView, PublicName
from penstock.core.nearest import SHOWN, unknown
from penstock.core.principal import Principal


def visible(models: Catalog, principal: Principal) -> Catalog:
    """The models that the caller may use."""
    return models if principal.routes is None else Visible(models, principal)


class Visible:
    """A part of the models; the others are forbidden, whether there are such or not."""

    def __init__(self, models: Catalog, principal: Principal):
        self._models = models
        self._principal = principal

    def find(self, name: str, version: str | None = None) -> ModelView:
        """The version asked for. Raises `Forbidden`, and `UnknownModel` without names that the key is not for."""
        check(self._principal, name, version)
        try:
            return self._models.find(name, version)
        except UnknownModel:
            names = self._names()
            if name.partition("@")[0] in names:
                raise
            asked = name if version is None else f"{name}@{version}"
            raise unknown(asked, names, none="nothing that this key may use") from None

    def _names(self) -> list[str]:
        """The names that the key is for and that something is served under, as the caller has to write them."""
        specs = [view.spec for view in self.all()]
        own = [s.name if self._principal.may_use(s.name) else f"{s.name}@{s.version}" for s in specs]
        return [*own, *(public.name for public in self.public())]

    def all(self) -> list[ModelView]:
        """Every version that the caller may use."""
        return [view for view in self._models.all() if covers(self._principal, view.spec.name, view.spec.version)]

    def public(self) -> list[PublicName]:
        """The names that are not models' own, likewise."""
        return [public for public in self._models.public() if self._principal.may_use(public.name)]

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._models.draining


def check(principal: Principal, name: str, version: str | None = None) -> None:
    """Raises `Forbidden` for a name that the caller's key is not for."""
    if principal.routes is None or covers(principal, name, version):
        return
    may = ", ".join(sorted(principal.routes)[:SHOWN]) or "nothing"
    raise Forbidden(f"this key may not use {name[:128]!r}; it may use: {may}")


def covers(principal: Principal, name: str, version: str | None = None) -> bool:
    """Whether a key is for a name: as it stands, for all versions of it, or for this very version (name@version)."""
    if principal.may_use(name):
        return True
    base, _, pinned = name.partition("@")
    version = pinned or version
    return principal.may_use(base) or (version is not None and principal.may_use(f"{base}@{version}"))
