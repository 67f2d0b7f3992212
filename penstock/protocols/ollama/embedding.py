"""POST /api/embed and the older /api/embeddings: the way of /v1/embeddings, in Ollama's words."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import BadInput
from penstock.core.model import Catalog, Lifecycle
from penstock.core.reply import Meta, Reply
from penstock.core.request import Handler
from penstock.core.tensors import Tensor, Tensors
from penstock.core.text import EMBEDDING
from penstock.protocols.answer import deadline_of, priority_of, reply_headers
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.asking import request_of
from penstock.protocols.generation.ask import Asker
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.json_arrays import DIGITS, encode
from penstock.protocols.lifecycle import Loads
from penstock.protocols.ollama.messages import EMBED_FIELDS, OLD_EMBED_FIELDS, EmbedRequest, OldEmbedRequest
from penstock.protocols.openai.messages import tensors_of
from penstock.protocols.openai.vectors import shortened
from penstock.protocols.reading import read, wrong
from penstock.protocols.texts import signature_of, tokens_read, with_truncation
from penstock.protocols.visible import visible

_embed = msgspec.json.Decoder(EmbedRequest)
_old = msgspec.json.Decoder(OldEmbedRequest)


class OllamaEmbedding:
    """Translates to and from the path. `lifecycle`: loads models that were unloaded; None where clients may not."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock, lifecycle: Lifecycle | None = None):
        self._handler = handler
        self._models = models
        self._clock = clock
        self._asker = Asker(handler, models, clock)
        self._loads = Loads(lifecycle, models)

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/api/embed", self.embed, "infer")
        routes.add("POST", "/api/embeddings", self.embeddings, "infer")

    async def embed(self, http: HttpRequest) -> HttpResponse:
        """POST /api/embed"""
        began = self._clock()
        if len(http.body) > HEAVY:
            message, tensors = await aside(_read, http.body)
        else:
            message, tensors = _read(http.body)
        outputs, meta = await self._outputs(http, message, tensors)
        heavy = outputs[EMBEDDING].array.size * DIGITS > HEAVY
        answer = {"model": message.model, **_durations(self._clock() - began, meta)}
        wishes = (outputs, message.dimensions, self._normalizes(http, message.model), answer)
        body = await aside(_embeddings, *wishes) if heavy else _embeddings(*wishes)
        return HttpResponse(200, body, headers=reply_headers(meta, outputs), dense=True)

    async def embeddings(self, http: HttpRequest) -> HttpResponse:
        """POST /api/embeddings: one text."""
        old = read(_old, http.body, OLD_EMBED_FIELDS)
        message = EmbedRequest(model=old.model, input=old.prompt)
        outputs, meta = await self._outputs(http, message, _tensors(message, "prompt"))
        vector = shortened(outputs[EMBEDDING].array, None, False)[0]
        return HttpResponse(200, encode({"embedding": vector}), headers=reply_headers(meta, outputs))

    async def _outputs(
        self, http: HttpRequest, message: EmbedRequest, tensors: dict[str, Tensor]
    ) -> tuple[Tensors, Meta]:
        found = self._asker.find(http, message.model)
        await self._loads.at_hand(found.view, http.principal)
        signature = signature_of(found.view, visible(self._models, http.principal), found.name, "embedding")
        size = next(spec.shape[-1] for spec in signature.outputs if spec.name == EMBEDDING)
        if message.dimensions is not None and 0 <= size < message.dimensions:
            raise wrong("dimensions", f"dimensions is {message.dimensions}, but embeddings of this model have {size}")
        deadline, priority = deadline_of(message.timeout_ms, self._clock), priority_of(message.priority)
        asked = request_of(http, found.name, tensors, deadline=deadline, priority=priority, named=message.model)
        reply = await self._handler(asked)
        return await _blamed(reply), reply.meta

    def _normalizes(self, http: HttpRequest, name: str) -> bool:
        return bool(self._asker.find(http, name).view.spec.options.get("normalize"))


async def _blamed(reply: Reply) -> Tensors:
    """The outputs; what is wrong with a row is wrong with the field that holds the texts."""
    try:
        return await reply
    except BadInput as error:
        if error.row is not None and error.param is None:
            error.param = "input"
        raise


def _read(body: bytes | bytearray) -> tuple[EmbedRequest, dict[str, Tensor]]:
    message = read(_embed, body, EMBED_FIELDS)
    return message, _tensors(message, "input")


def _tensors(message: EmbedRequest, field: str) -> dict[str, Tensor]:
    """One row per text. Raises `BadInput` for none, and for an empty one."""
    try:
        tensors = tensors_of(message.input)
    except BadInput as error:
        raise wrong(field, error.message.replace("input", field, 1), type(error)) from None
    return with_truncation(tensors, message.truncate, next(iter(tensors.values())).array.shape[0])


def _embeddings(outputs: Tensors, dimensions: int | None, normalize: bool, answer: dict[str, Any]) -> bytes:
    vectors = shortened(outputs[EMBEDDING].array, dimensions, normalize)
    return encode({**answer, "embeddings": list(vectors), "prompt_eval_count": tokens_read(outputs)})


def _durations(total_s: float, meta: Meta) -> dict[str, int]:
    """In nanoseconds; `load_duration`: waiting for a place."""
    return {"total_duration": round(total_s * 1e9), "load_duration": round(meta.queue_s * 1e9)}
