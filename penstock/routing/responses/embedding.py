"""Embeddings of questions, by a served model."""

from __future__ import annotations

import numpy as np

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import PenstockError, UnknownModel
from penstock.core.model import Models
from penstock.core.request import Handler, Request
from penstock.core.tensors import Tensor, object_array
from penstock.core.text import EMBEDDING, TEXT
from penstock.routing.responses.similar import Vector

PATIENCE_S = 1.0


class Embedder:
    """Asks the next step for the embedding of a text. `name`: of the model."""

    def __init__(self, handler: Handler, models: Models, name: str, clock: Clock = system_clock):
        self._handler = handler
        self._models = models
        self._name = name
        self._clock = clock

    async def __call__(self, request: Request, text: str) -> Vector | None:
        """The vector; None when the model is not ready, too slow, or does not take the text."""
        model, _, version = self._name.partition("@")
        try:
            signature = self._models.find(model, version or None).signature
        except UnknownModel:
            return None
        if signature is None:
            return None
        name = next((spec.name for spec in signature.inputs if spec.name == TEXT), signature.inputs[0].name)
        texts = Tensor("BYTES", object_array([text.encode()], (1,)))
        deadline = min(request.deadline, self._clock() + PATIENCE_S)
        asked = Request(request.id, model, {name: texts}, version or None, deadline=deadline, tenant=request.tenant)
        return await self._asked(asked)

    async def _asked(self, request: Request) -> Vector | None:
        try:
            outputs = await (await self._handler(request)).result()
        except PenstockError:
            return None
        tensor = outputs.get(EMBEDDING) or next(iter(outputs.values()))
        return np.asarray(tensor.array, np.float32).reshape(-1)
