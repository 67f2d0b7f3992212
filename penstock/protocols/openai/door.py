"""POST /v1/embeddings and GET /v1/models, as OpenAI's clients expect them."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import BadInput
from penstock.core.model import Models, ModelView
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request
from penstock.core.signature import Signature
from penstock.core.tensors import Tensors
from penstock.core.text import EMBEDDING
from penstock.protocols.answer import deadline_of, priority_of, reply_headers
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.json_arrays import DIGITS
from penstock.protocols.openai.messages import EmbeddingsRequest, read_request
from penstock.protocols.openai.vectors import answer
from penstock.protocols.reading import wrong
from penstock.protocols.texts import signature_for


class OpenAI:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Models, clock: Clock):
        self._handler = handler
        self._models = models
        self._clock = clock
        self._created = int(time.time())

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/v1/embeddings", self.embeddings)
        routes.add("GET", "/v1/models", self.models)
        routes.add("GET", "/v1/models/{}", self.model)

    async def embeddings(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/embeddings"""
        if len(http.body) > HEAVY:
            message, tensors = await aside(read_request, http.body)
        else:
            message, tensors = read_request(http.body)
        check_dimensions(message, signature_for(self._models, message.model, "embedding"))
        deadline, priority = deadline_of(message.timeout_ms, self._clock), priority_of(message.priority)
        reply = await self._handler(Request(http.id, message.model, tensors, deadline=deadline, priority=priority))
        outputs = await _blamed(reply)
        base64 = message.encoding_format == "base64"
        wishes = (outputs, message.model, message.dimensions, self._normalizes(message.model), base64)
        heavy = outputs[EMBEDDING].array.size * DIGITS > HEAVY
        body = await aside(answer, *wishes) if heavy else answer(*wishes)
        return HttpResponse(200, body, headers=reply_headers(reply.meta, outputs), dense=True)

    def _normalizes(self, name: str) -> bool:
        return bool(self._models.find(name).spec.options.get("normalize"))

    async def models(self, http: HttpRequest) -> HttpResponse:
        """GET /v1/models: every served model by its name."""
        newest = {view.spec.name: view for view in self._models.all()}
        listed = [self._described(name, view) for name, view in newest.items()]
        return _json({"object": "list", "data": listed})

    async def model(self, http: HttpRequest, name: str) -> HttpResponse:
        """GET /v1/models/{name}: also by an alias."""
        return _json(self._described(name, self._models.find(name)))

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
