"""Embeddings of questions, by a served model."""

from __future__ import annotations

import numpy as np

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import Cancelled, DeadlineExceeded, PenstockError, UnknownModel
from penstock.core.model import Models, versioned
from penstock.core.request import Handler, Request
from penstock.core.tensors import Tensor, object_array
from penstock.core.text import EMBEDDING, TEXT
from penstock.routing.failure.breaker import Breaker, BreakerSettings
from penstock.routing.failure.verdicts import of_the_request
from penstock.routing.responses.similar import Vector

PATIENCE_S = 0.15
"""For how long a request waits for its question's embedding."""
AWAY = BreakerSettings(failures=3, eject_s=5.0, max_eject_s=30.0, probe_s=5.0)
"""A model that is slow or fails is left alone, and tried by one request in five seconds."""


class Embedder:
    """Asks the next step for the embedding of a text. `name`: of the model; `patience_s`: for how long a request
    waits."""

    def __init__(
        self,
        handler: Handler,
        models: Models,
        name: str,
        clock: Clock = system_clock,
        patience_s: float = PATIENCE_S,
    ):
        self._handler = handler
        self._models = models
        self._name = name
        self._clock = clock
        self._patience_s = patience_s
        self._breaker = Breaker(AWAY)

    async def __call__(self, request: Request, text: str) -> Vector | None:
        """The vector; None when the model is not ready, too slow, away just now, or does not take the text."""
        now = self._clock()
        if self._breaker.ejected(now) and not self._breaker.may_probe(now):
            return None
        model, version = versioned(self._name)
        try:
            signature = self._models.find(model, version).signature
        except UnknownModel:
            return None
        if signature is None:
            return None
        name = next((spec.name for spec in signature.inputs if spec.name == TEXT), signature.inputs[0].name)
        texts = Tensor("BYTES", object_array([text.encode()], (1,)))
        deadline = min(request.deadline, now + self._patience_s)
        asked = Request(request.id, model, {name: texts}, version, deadline=deadline, tenant=request.tenant)
        return await self._asked(asked, hurried=deadline < now + self._patience_s)

    async def _asked(self, request: Request, *, hurried: bool) -> Vector | None:
        """`hurried`: the request's own time was shorter than what the model is to be given."""
        self._breaker.asked(self._clock())
        try:
            outputs = await (await self._handler(request)).result()
        except PenstockError as error:
            self._failed(error, hurried)
            return None
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        tensor = outputs.get(EMBEDDING) or next(iter(outputs.values()))
        return np.asarray(tensor.array, np.float32).reshape(-1)

    def _failed(self, error: PenstockError, hurried: bool) -> None:
        if isinstance(error, Cancelled) or (hurried and isinstance(error, DeadlineExceeded)):
            self._breaker.abandoned()
        elif of_the_request(error):
            self._breaker.succeeded()
        else:
            self._breaker.failed(self._clock())
