"""The friendly door: rows in, rows out, as the model's signature says."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import BadInput, Loading, NotFound, PenstockError
from penstock.core.model import Models
from penstock.core.request import Handler, Request
from penstock.core.rows import rows_to_tensors, tensors_to_rows
from penstock.core.signature import Signature
from penstock.core.tensors import Tensor
from penstock.protocols.answer import chosen, deadline_of, priority_of, timing_headers
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.json_tensors import array_of, check_size, decode_any


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`inputs`: one value per row. `outputs`: names of the wanted outputs (all by default)."""

    inputs: msgspec.Raw
    outputs: list[str] | None = None
    timeout_ms: float | None = None
    priority: int | None = None


class PredictResponse(msgspec.Struct, gc=False):
    """One output value per row, or an object of values when the model has several outputs."""

    model: str
    version: str
    outputs: list[Any]


_decoder = msgspec.json.Decoder(PredictRequest)
_encode = msgspec.json.Encoder().encode


class Predict:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Models, clock: Clock):
        self._handler = handler
        self._models = models
        self._clock = clock

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/predict", self.predict_only)
        routes.add("POST", "/models/{}/predict", self.predict)
        routes.add("POST", "/models/{}/versions/{}/predict", self.predict)

    async def predict_only(self, http: HttpRequest) -> HttpResponse:
        """POST /predict, when exactly one model is served."""
        names = list(dict.fromkeys(model.spec.name for model in self._models.all()))
        if not names:
            raise NotFound("no model is served here")
        if len(names) != 1:
            paths = ", ".join(f"/models/{name}/predict" for name in names[:10])
            raise NotFound(f"several models are served; use {paths}")
        return await self.predict(http, names[0])

    async def predict(self, http: HttpRequest, name: str, version: str | None = None) -> HttpResponse:
        """POST /models/{name}/predict"""
        model = self._models.find(name, version)
        signature = model.signature
        if signature is None:
            raise Loading("the model is loading; try again shortly")
        if len(http.body) > HEAVY:
            message, tensors = await aside(read, http.body, signature)
        else:
            message, tensors = read(http.body, signature)
        request = Request(
            http.id,
            name,
            tensors,
            version,
            None if message.outputs is None else tuple(message.outputs),
            deadline_of(message.timeout_ms, self._clock),
            priority_of(message.priority),
        )
        reply = await self._handler(request)
        outputs = chosen(await reply, request.outputs)
        rows = tensors_to_rows(signature, outputs)
        meta = reply.meta
        return HttpResponse(200, _encode(PredictResponse(meta.model, meta.version, rows)), headers=timing_headers(meta))


def read(body: bytes | bytearray, signature: Signature) -> tuple[PredictRequest, dict[str, Tensor]]:
    """The message, and the tensors of its rows."""
    message = parse(body)
    return message, tensors_of(signature, message.inputs)


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
    """Tensors of the rows: fast for a model with one numeric input, by the row mapping otherwise."""
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
