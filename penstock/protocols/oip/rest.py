"""The Open Inference Protocol v2 over REST: every call but the repository's, the version segment optional."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.deadline import NEVER, Deadline
from penstock.core.errors import BadInput
from penstock.core.model import Catalog, ModelView, State
from penstock.core.request import Handler
from penstock.core.signature import Signature, TensorSpec
from penstock.core.text import TEXT, TRUNCATE
from penstock.protocols.answer import DEFAULT_LEVEL, about, deadline_of, priority_of
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.asking import request_of
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.oip.decode import Infer, decode, heavy
from penstock.protocols.oip.encode import encode
from penstock.protocols.oip.encode import heavy as json_is_long
from penstock.protocols.oip.statistics import statistics
from penstock.protocols.texts import takes_truncation, with_truncation
from penstock.protocols.visible import visible

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
NO_LIMITS = (NEVER, DEFAULT_LEVEL)
_encode = msgspec.json.encode


class OipRest:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock, version: str):
        self._handler = handler
        self._models = models
        self._clock = clock
        self._version = version

    def mount(self, routes: Routes) -> None:
        """Adds every path of the protocol."""
        routes.add("GET", "/v2", self.server, "read")
        routes.add("GET", "/v2/health/live", self.live, "none")
        routes.add("GET", "/v2/health/ready", self.ready, "none")
        routes.add("GET", "/v2/models/stats", self.stats, "read")
        for model in ("/v2/models/{}", "/v2/models/{}/versions/{}"):
            routes.add("GET", model, self.metadata, "read")
            routes.add("GET", f"{model}/ready", self.model_ready, "read")
            routes.add("GET", f"{model}/config", self.config, "read")
            routes.add("GET", f"{model}/stats", self.stats, "read")
            routes.add("POST", f"{model}/infer", self.infer, "infer")

    async def infer(self, http: HttpRequest, name: str, version: str | None = None) -> HttpResponse:
        """POST .../infer"""
        model = visible(self._models, http.principal).find(name, version)
        if len(http.body) > HEAVY and heavy(http):
            infer = await aside(decode, http, lambda: model.signature)
        else:
            infer = decode(http, lambda: model.signature)
        if infer.parameters is not None and "truncate" in infer.parameters:
            self._may_cut(infer, infer.parameters["truncate"], name, version)
        request = request_of(
            http,
            name,
            infer.tensors,
            version,
            infer.outputs,
            *(self._limits(infer.parameters) if infer.parameters else NO_LIMITS),
        )
        reply = await self._handler(request)
        outputs = await reply
        if json_is_long(infer, outputs):
            return await aside(encode, infer, outputs, reply.meta)
        return encode(infer, outputs, reply.meta)

    def _may_cut(self, infer: Infer, truncate: Any, name: str, version: str | None) -> None:
        """For a model that reads text, the parameter `truncate` is its input of that name, for every row."""
        signature = self._models.find(name, version).signature
        if signature is None or not takes_truncation(signature):
            return
        if not isinstance(truncate, bool):
            raise BadInput("parameter truncate must be true or false")
        if TRUNCATE in infer.tensors:
            raise BadInput("truncate is an input and a parameter; send one")
        text = infer.tensors.get(TEXT)
        if text is not None and text.array.ndim == 1:
            with_truncation(infer.tensors, truncate, text.array.shape[0])

    def _limits(self, parameters: Mapping[str, Any]) -> tuple[Deadline, int]:
        """The deadline and priority that the reserved parameters ask for."""
        timeout_us, timeout_ms = parameters.get("timeout"), parameters.get("timeout_ms")
        if timeout_us:
            timeout_ms = _number("timeout", timeout_us) / 1000
        elif timeout_ms is not None:
            timeout_ms = _number("timeout_ms", timeout_ms)
        priority = parameters.get("priority")
        if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int)):
            raise BadInput("parameter priority must be an integer")
        return deadline_of(timeout_ms, self._clock), priority_of(priority)

    async def server(self, http: HttpRequest) -> HttpResponse:
        """GET /v2"""
        return _json({"name": "penstock", "version": self._version, "extensions": EXTENSIONS})

    async def live(self, http: HttpRequest) -> HttpResponse:
        """GET /v2/health/live"""
        return _json({"live": True})

    async def ready(self, http: HttpRequest) -> HttpResponse:
        """GET /v2/health/ready: 200 when every model takes requests, else 503."""
        ready = not self._models.draining and all(model.state.settled for model in self._models.all())
        return _json({"ready": ready, "live": True}, 200 if ready else 503)

    async def metadata(self, http: HttpRequest, name: str, version: str | None = None) -> HttpResponse:
        """GET /v2/models/{name}"""
        models = visible(self._models, http.principal)
        model = models.find(name, version)
        versions = [m.spec.version for m in models.all() if m.spec.name == model.spec.name]
        signature = model.signature or Signature(())
        return _json(
            {
                "name": model.spec.name,
                "versions": [version] if version else versions or [model.spec.version],
                "platform": model.spec.platform,
                "inputs": _specs(signature.inputs),
                "outputs": _specs(signature.outputs),
                "parameters": {"state": model.state, "batched": signature.batched, **about(model)},
            }
        )

    async def model_ready(self, http: HttpRequest, name: str, version: str | None = None) -> HttpResponse:
        """GET /v2/models/{name}/ready"""
        model = visible(self._models, http.principal).find(name, version)
        ready = model.state is State.READY
        body = {"name": model.spec.name, "ready": ready}
        return _json(body if ready else {**body, "reason": model.reason}, 200 if ready else 503)

    async def config(self, http: HttpRequest, name: str, version: str | None = None) -> HttpResponse:
        """GET /v2/models/{name}/config, with the keys that perf_analyzer reads."""
        return _json(model_config(visible(self._models, http.principal).find(name, version)))

    async def stats(self, http: HttpRequest, name: str | None = None, version: str | None = None) -> HttpResponse:
        """GET /v2/models/stats and /v2/models/{name}/stats"""
        models = visible(self._models, http.principal)
        found = models.all() if name is None else [models.find(name, version)]
        return _json({"model_stats": [statistics(model) for model in found]})


def model_config(model: ModelView) -> dict[str, Any]:
    """A model's configuration in Triton's shape, with our own settings under `penstock`."""
    signature = model.signature or Signature(())
    settings = model.config()
    size = settings["batching"]["max_size"] if signature.batched else 0
    return {
        "name": model.spec.name,
        "platform": model.spec.platform,
        "backend": model.spec.runtime,
        "max_batch_size": size,
        "input": [_config_tensor(spec, signature) for spec in signature.inputs],
        "output": [_config_tensor(spec, signature) for spec in signature.outputs],
        "instance_group": [{"count": settings["replicas"], "kind": "KIND_AUTO"}],
        "penstock": settings,
    }


def _config_tensor(spec: TensorSpec, signature: Signature) -> dict[str, Any]:
    datatype = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
    return {"name": spec.name, "data_type": datatype, "dims": list(spec.shape[1:] if signature.batched else spec.shape)}


def _specs(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
    described = []
    for spec in specs:
        tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
        if spec.labels:
            tensor["parameters"] = {"labels": list(spec.labels)}
        described.append(tensor)
    return described


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"parameter {name} must be a number")
    return float(value)


def _json(value: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, _encode(value))
