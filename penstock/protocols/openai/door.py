"""The doors of OpenAI's API; here POST /v1/embeddings and GET /v1/models."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import BadInput
from penstock.core.model import Catalog, ModelView
from penstock.core.principal import Principal
from penstock.core.reply import Reply
from penstock.core.request import Handler
from penstock.core.signature import Signature
from penstock.core.tensors import Tensors
from penstock.core.text import EMBEDDING
from penstock.protocols.answer import deadline_of, priority_of, reply_headers
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.asking import request_of
from penstock.protocols.generation.ask import Asker
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.json_arrays import DIGITS
from penstock.protocols.openai.chat.door import Chat
from penstock.protocols.openai.completions.door import Completions
from penstock.protocols.openai.messages import EmbeddingsRequest, read_request
from penstock.protocols.openai.responses.door import Responses
from penstock.protocols.openai.tokens import Tokens
from penstock.protocols.openai.vectors import answer
from penstock.protocols.reading import wrong
from penstock.protocols.texts import signature_for
from penstock.protocols.visible import covers, visible


class OpenAI:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock):
        self._handler = handler
        self._models = models
        self._clock = clock
        self._created = int(time.time())
        self._asker = asker = Asker(handler, models, clock)
        self._generation = (Chat(asker), Completions(asker), Responses(asker), Tokens(asker, models))

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/v1/embeddings", self.embeddings, "infer")
        routes.add("GET", "/v1/models", self.models, "read")
        routes.add("GET", "/v1/models/{}", self.model, "read")
        for door in self._generation:
            door.mount(routes)

    async def embeddings(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/embeddings"""
        if len(http.body) > HEAVY:
            message, tensors = await aside(read_request, http.body)
        else:
            message, tensors = read_request(http.body)
        check_dimensions(message, signature_for(visible(self._models, http.principal), message.model, "embedding"))
        deadline, priority = deadline_of(message.timeout_ms, self._clock), priority_of(message.priority)
        reply = await self._handler(request_of(http, message.model, tensors, deadline=deadline, priority=priority))
        outputs = await _blamed(reply)
        base64 = message.encoding_format == "base64"
        wishes = (outputs, message.model, message.dimensions, self._normalizes(message.model), base64)
        heavy = outputs[EMBEDDING].array.size * DIGITS > HEAVY
        body = await aside(answer, *wishes) if heavy else answer(*wishes)
        return HttpResponse(200, body, headers=reply_headers(reply.meta, outputs), dense=True)

    def _normalizes(self, name: str) -> bool:
        return bool(self._models.find(name).spec.options.get("normalize"))

    async def models(self, http: HttpRequest) -> HttpResponse:
        """GET /v1/models: every served model by its name, its LoRA adapters, aliases and routes."""
        newest = {view.spec.name: view for view in self._models.all()}
        listed = [item for name, view in newest.items() for item in self._family(name, view, http.principal)]
        models = visible(self._models, http.principal)
        for public in models.public():
            listed.append(self._described(public.name, models.find(public.name)) | {"kind": public.kind})
        return _json({"object": "list", "data": listed})

    async def model(self, http: HttpRequest, name: str) -> HttpResponse:
        """GET /v1/models/{name}: also by an alias."""
        found = self._asker.find(http, name)
        parent = {"parent": found.name} if found.adapter else {}
        return _json(self._described(name, found.view) | parent)

    def _family(self, name: str, view: ModelView, principal: Principal) -> list[dict[str, Any]]:
        """A model and its adapters, as far as the caller may use them."""
        described, whole = self._described(name, view), covers(principal, name, view.spec.version)
        adapters = [f"{name}:{each}" for each in view.spec.options.get("adapters") or {}]
        found = [{**described, "id": each, "parent": name} for each in adapters if whole or principal.may_use(each)]
        return [described, *found] if whole else found

    def _described(self, name: str, view: ModelView) -> dict[str, Any]:
        described: dict[str, Any] = {"id": name, "object": "model", "created": self._created, "owned_by": "penstock"}
        signature = view.signature
        if signature is not None and signature.task:
            described |= {"task": signature.task, "max_model_len": signature.max_tokens}
        return described


async def _blamed(reply: Reply) -> Tensors:
    """The outputs; what is wrong with a row is wrong with the field that holds the texts."""
    try:
        return await reply
    except BadInput as error:
        if error.row is not None and error.param is None:
            error.param = "input"
        raise


def check_dimensions(message: EmbeddingsRequest, signature: Signature) -> None:
    """Raises `BadInput` when more numbers are wanted than the model's embeddings have."""
    size = next(spec.shape[-1] for spec in signature.outputs if spec.name == EMBEDDING)
    if message.dimensions is not None and 0 <= size < message.dimensions:
        says = f"dimensions is {message.dimensions}, but embeddings of this model have {size} numbers; ask for fewer"
        raise wrong("dimensions", says)


def _json(value: Any) -> HttpResponse:
    return HttpResponse(200, msgspec.json.encode(value))
