"""The friendly door: rows in, rows out, as the model's signature says."""

from __future__ import annotations

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import BadInput, Loading, NotFound, PenstockError
from penstock.core.language import GENERATION
from penstock.core.model import Catalog
from penstock.core.reply import Meta
from penstock.core.request import Handler
from penstock.core.rows import rows_to_tensors, tensors_to_rows
from penstock.core.signature import Signature
from penstock.core.tensors import Tensor, Tensors
from penstock.core.text import TRUNCATE
from penstock.protocols import json_arrays
from penstock.protocols.answer import chosen, deadline_of, priority_of, reply_headers
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.asking import request_of
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.json_tensors import array_of, check_size, decode_any, texts_of
from penstock.protocols.texts import takes_truncation, text_tensor, with_truncation
from penstock.protocols.visible import visible


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`inputs`: one value per row. `outputs`: names of the wanted outputs (all by default).

    `truncate`: whether over-long texts are cut or refused, for models that read text.
    """

    inputs: msgspec.Raw
    outputs: list[str] | None = None
    timeout_ms: float | None = None
    priority: int | None = None
    truncate: bool | None = None


_decoder = msgspec.json.Decoder(PredictRequest)


class Predict:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock):
        self._handler = handler
        self._models = models
        self._clock = clock

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/predict", self.predict_only, "infer")
        routes.add("POST", "/models/{}/predict", self.predict, "infer")
        routes.add("POST", "/models/{}/versions/{}/predict", self.predict, "infer")

    async def predict_only(self, http: HttpRequest) -> HttpResponse:
        """POST /predict, when exactly one model is served."""
        served = list(visible(self._models, http.principal).all())
        rows = [m for m in served if m.signature is None or m.signature.task != GENERATION]
        names = list(dict.fromkeys(model.spec.name for model in rows or served))
        if not names:
            raise NotFound("no model is served here")
        if len(names) != 1:
            paths = ", ".join(f"/models/{name}/predict" for name in names[:10])
            raise NotFound(f"several models are served; use {paths}")
        return await self.predict(http, names[0])

    async def predict(self, http: HttpRequest, name: str, version: str | None = None) -> HttpResponse:
        """POST /models/{name}/predict"""
        model = visible(self._models, http.principal).find(name, version)
        signature = model.signature
        if signature is None:
            raise Loading("the model is loading; try again shortly")
        if signature.task == GENERATION:
            raise BadInput("this model generates text; ask it at /v1/chat/completions or /v1/completions")
        if len(http.body) > HEAVY:
            message, tensors = await aside(read, http.body, signature)
        else:
            message, tensors = read(http.body, signature)
        request = request_of(
            http,
            name,
            tensors,
            version,
            None if message.outputs is None else tuple(message.outputs),
            deadline_of(message.timeout_ms, self._clock),
            priority_of(message.priority),
        )
        reply = await self._handler(request)
        outputs = await reply
        headers = reply_headers(reply.meta, outputs)
        outputs = chosen(outputs, request.outputs)
        values = json_arrays.count(outputs)
        if values < json_arrays.WIDE:
            return HttpResponse(200, answer(signature, outputs, reply.meta, None), headers=headers)
        dense = json_arrays.is_dense(outputs)
        work = (signature, outputs, reply.meta, json_arrays.WIDE if dense else None)
        body = await aside(answer, *work) if values * json_arrays.DIGITS > HEAVY else answer(*work)
        return HttpResponse(200, body, headers=headers, dense=dense)


def read(body: bytes | bytearray, signature: Signature) -> tuple[PredictRequest, dict[str, Tensor]]:
    """The message, and the tensors of its rows."""
    message = parse(body)
    tensors = tensors_of(signature, message.inputs)
    if message.truncate is None:
        return message, tensors
    if not takes_truncation(signature):
        raise BadInput("unknown field `truncate`: this model does not read text that could be cut")
    if TRUNCATE in tensors:
        raise BadInput("truncate is in the rows and beside them; send one")
    rows = next(iter(tensors.values())).array.shape[0]
    return message, with_truncation(tensors, message.truncate, rows)


def answer(signature: Signature, outputs: Tensors, meta: Meta, wide: int | None) -> bytes:
    """The body: one output value per row, or an object of values when the model has several outputs."""
    rows = tensors_to_rows(signature, outputs, wide=wide, plain=json_arrays.shortest)
    return json_arrays.encode({"model": meta.model, "version": meta.version, "outputs": rows})


def parse(body: bytes | bytearray) -> PredictRequest:
    """The message. Raises `BadInput` saying what the door expects."""
    check_size(body)
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f'the body must be JSON such as {{"inputs": [...]}}: {error}') from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None


def tensors_of(signature: Signature, raw: msgspec.Raw) -> dict[str, Tensor]:
    """Tensors of the rows: fast for texts and for one numeric input, by the row mapping otherwise."""
    if _reads_plain_texts(signature) and (texts := texts_of(raw)):
        return {signature.inputs[0].name: text_tensor(texts)}
    if signature.batched and len(signature.inputs) == 1:
        spec = signature.inputs[0]
        try:
            array = array_of(spec.datatype, raw)
        except PenstockError:
            array = None
        if array is not None and array.ndim == len(spec.shape) and array.size:
            return {spec.name: Tensor(spec.datatype, array)}
    rows = decode_any(memoryview(raw))
    if not isinstance(rows, list):
        raise BadInput(f'"inputs" must be a list with one item per row, got {type(rows).__name__}')
    return rows_to_tensors(signature, rows)


def _reads_plain_texts(signature: Signature) -> bool:
    """Whether a row may be one text, and nothing else."""
    specs = signature.inputs
    if not specs or specs[0].datatype != "BYTES" or specs[0].shape != (-1,) or not signature.batched:
        return False
    return len(specs) == 1 or (bool(signature.task) and all(spec.optional for spec in specs[1:]))
