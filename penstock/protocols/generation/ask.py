"""Asks the path for generated text, whatever the dialect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from penstock.core.clock import Clock
from penstock.core.deadline import Deadline
from penstock.core.errors import Forbidden, UnknownModel
from penstock.core.generation import Generation
from penstock.core.language import GENERATION
from penstock.core.model import Catalog, ModelView
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request, TakesAll, give_up, together
from penstock.protocols.answer import deadline_of, priority_of
from penstock.protocols.asking import request_of
from penstock.protocols.generation.several import Several
from penstock.protocols.http.message import HttpRequest
from penstock.protocols.texts import signature_of
from penstock.protocols.visible import visible

LATEST = ":latest"
"""A tag that Ollama's clients put behind every name."""


class Named(NamedTuple):
    """What a client's name means: a served model, and a LoRA adapter of it ("" for none)."""

    name: str
    adapter: str
    view: ModelView


class Asker:
    """Finds the model of a request, and hands the request down."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock):
        self._handler = handler
        self._models = models
        self._clock = clock

    async def ask(
        self,
        http: HttpRequest,
        model: str,
        generation: Generation,
        *,
        timeout_ms: float | None = None,
        priority: int | None = None,
        whole: bool = False,
    ) -> Reply:
        """The reply, once it has begun; an error before its first event is raised, so that it has a status. `whole`: it
        goes out in one piece.

        Raises `UnknownModel`, `BadInput` for a model that does something else, and whatever the path raises.
        """
        found, limits = self.generates(http, model), self._limits(timeout_ms, priority)
        reply = await self._handler(_request(http, model, found, generation, *limits, whole=whole))
        await reply.began()
        return reply

    async def ask_all(
        self,
        http: HttpRequest,
        model: str,
        generations: Sequence[Generation],
        *,
        timeout_ms: float | None = None,
        priority: int | None = None,
        whole: bool = False,
    ) -> Several:
        """The replies to requests that belong together, once the first has begun: all are accepted, or none."""
        found, limits = self.generates(http, model), self._limits(timeout_ms, priority)
        requests = [_request(http, model, found, generation, *limits, whole=whole) for generation in generations]
        replies = await self._all(requests)
        try:
            await replies[0].began()
        except BaseException as error:
            give_up(replies, error)
            raise
        return Several(replies, generations[0].choices)

    async def _all(self, requests: Sequence[Request]) -> list[Reply]:
        handler = self._handler
        if isinstance(handler, TakesAll):
            return await handler.all(requests)
        return await together(partial(handler, request) for request in requests)

    def _limits(self, timeout_ms: float | None, priority: int | None) -> tuple[Deadline, int]:
        return deadline_of(timeout_ms, self._clock), priority_of(priority)

    def generates(self, http: HttpRequest, model: str) -> Named:
        """The model that a client's name means.

        Raises `UnknownModel`, `Loading`, and `BadInput` when the model does not generate text.
        """
        found = self.find(http, model)
        signature_of(found.view, visible(self._models, http.principal), found.name, GENERATION)
        return found

    def find(self, http: HttpRequest, model: str) -> Named:
        """The model that a client's name means, whatever it does.

        Raises `UnknownModel`, also for its adapter, and `Forbidden` when the client's key is not for it.
        """
        # A key for this very name is one for what it leads to.
        models = self._models if http.principal.may_use(model) else visible(self._models, http.principal)
        for name, adapter in _readings(model):
            try:
                found = Named(name, adapter, models.find(name))
            except (UnknownModel, Forbidden):
                continue
            _check_adapter(found)
            return found
        return Named(model, "", visible(self._models, http.principal).find(model))


def _request(
    http: HttpRequest, model: str, found: Named, generation: Generation, deadline: Deadline, level: int, *, whole: bool
) -> Request:
    if found.adapter:
        generation = replace(generation, adapter=found.adapter)
    return request_of(http, found.name, generation, deadline=deadline, priority=level, named=model, whole=whole)


def _check_adapter(found: Named) -> None:
    adapters = found.view.spec.options.get("adapters") or {}
    if found.adapter and found.adapter not in adapters:
        known = ", ".join(list(adapters)[:10]) or "none"
        says = f"model {found.name[:128]!r} has no adapter {found.adapter[:64]!r}; its adapters: {known}"
        raise UnknownModel(says)


def _readings(model: str) -> Iterator[tuple[str, str]]:
    """What a name may mean, the likeliest first: as it is, without its tag, and with an adapter behind a colon."""
    yield model, ""
    plain = model.removesuffix(LATEST)
    if plain != model:
        yield plain, ""
    base, colon, adapter = plain.rpartition(":")
    if colon:
        yield base, adapter
