"""The OpenAPI 3.1 document of what is served: one path and one schema per model, then the generic ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from penstock.core.model import ModelView
from penstock.core.principal import Verb
from penstock.protocols.answer import about
from penstock.protocols.docs import access, dialects, errors, generation, texts
from penstock.protocols.docs.rows import request_schema, response_schema
from penstock.protocols.oip.messages import InferRequest, InferResponse

Json = dict[str, Any]
OIP_GETS = {
    "": "Name, versions, inputs and outputs",
    "/ready": "Whether the model takes requests",
    "/config": "The settings in force",
    "/stats": "Counts and durations since start",
}
OPERATIONS = {
    "/livez": "Whether the process answers",
    "/readyz": "Whether every model takes requests and the server is not stopping",
    "/health": "Every model's state",
    "/models": "What is served",
    "/v2": "Server name, version and protocol extensions",
    "/v2/health/live": "Whether the process answers",
    "/v2/health/ready": "Whether every model takes requests",
    "/v2/models/stats": "Counts and durations of every model",
}
BINARY = (
    "JSON, or JSON followed by binary tensors: `Inference-Header-Content-Length` is the length of the JSON part, "
    "`binary_data_size` that of each tensor. NaN and infinities are null in JSON, and themselves in binary data."
)


def document(models: Iterable[ModelView], version: str, verb: Callable[[str, str], Verb]) -> Json:
    """The whole document, as plain data. `verb`: what the callers of a method and path have to be allowed."""
    models = list(models)
    served = Served(models)
    _, messages = msgspec.json.schema_components(
        (InferRequest, InferResponse), ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": version,
            "summary": "The models served here",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "."}],
        "security": access.SECURITY,
        "tags": [
            {"name": "models", "description": "Rows in, rows out; one path per model."},
            {"name": texts.TAG, "description": "For clients of OpenAI, Cohere, Jina and others."},
            {"name": generation.TAG, "description": "For clients of OpenAI's API; the answers may be streamed."},
            {"name": dialects.TAG, "description": "For clients of Anthropic's API and of Ollama."},
            {"name": "open inference protocol", "description": "For clients of KServe, Triton and others."},
            {"name": "operations", "description": "Liveness, readiness, metrics."},
        ],
        "x-penstock-models": [described(model) for model in models if generation.generates(model)],
        "paths": access.guarded(served.paths() | _generic_paths(), verb),
        "components": {
            "schemas": messages
            | texts.schemas(models)
            | generation.schemas(models)
            | dialects.schemas()
            | errors.schemas()
            | access.schemas()
            | served.schemas(),
            "responses": errors.responses(),
            **access.components(),
        },
    }


def _generic_paths() -> Json:
    """The paths that are there whatever is served."""
    doors = texts.paths(_answers) | generation.paths(_answers) | dialects.paths(_answers) | access.paths(_answers)
    return doors | _oip_paths() | _operations()


class Served:
    """The served models that take rows, each with a key that is unique and valid as a component name."""

    def __init__(self, models: Iterable[ModelView]):
        self._views: dict[str, ModelView] = {}
        for view in models:
            if not generation.generates(view):
                self._views[self._key(view)] = view

    def _key(self, view: ModelView) -> str:
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", f"{view.spec.name}_{view.spec.version}")[:100]
        key, count = stem, 1
        while key in self._views:
            count += 1
            key = f"{stem}.{count}"
        return key

    def schemas(self) -> Json:
        """Request and response schema of every model version."""
        found: Json = {}
        for key, view in self._views.items():
            found[f"predict.{key}.request"] = request_schema(view.signature, texts.rows_for(view))
            found[f"predict.{key}.response"] = response_schema(view.signature)
        return found

    def paths(self) -> Json:
        """A predict path per model (its newest version), and per version where there are several."""
        newest = {view.spec.name: key for key, view in self._views.items()}
        paths: Json = {}
        for key, view in self._views.items():
            name, version = segment(view.spec.name), segment(view.spec.version)
            if newest[view.spec.name] == key:
                paths[f"/models/{name}/predict"] = {"post": _predict(key, view, "predict")}
            if len(self._views) > len(newest):
                paths[f"/models/{name}/versions/{version}/predict"] = {"post": _predict(key, view, "predict_version")}
        if len(newest) == 1:
            key = next(iter(newest.values()))
            paths["/predict"] = {"post": _predict(key, self._views[key], "predict_only")}
        return paths


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def described(view: ModelView) -> Json:
    """What a page about the model shows."""
    signature = view.signature
    return {
        "name": view.spec.name,
        "version": view.spec.version,
        "runtime": view.spec.runtime,
        "state": view.state,
        "reason": view.reason,
        "inputs": msgspec.to_builtins(signature.inputs if signature else ()),
        "outputs": msgspec.to_builtins(signature.outputs if signature else ()),
        "batched": signature.batched if signature else True,
        "example": texts.rows_for(view),
        "doors": texts.other_doors(view),
        **about(view),
    }


def _predict(key: str, view: ModelView, operation: str) -> Json:
    return {
        "tags": ["models"],
        "operationId": f"{operation}.{key}",
        "summary": f"Predict with {view.spec.name}",
        "requestBody": {"required": True, "content": _json(_ref(f"predict.{key}.request"))},
        "responses": _answers(_json(_ref(f"predict.{key}.response")), "One output per row"),
        "x-penstock-model": described(view),
    }


def _oip_paths() -> Json:
    paths: Json = {}
    for infix, suffix in (("", ""), ("/versions/{version}", "_version")):
        model = f"/v2/models/{{model}}{infix}"
        parameters = [_parameter(name) for name in re.findall(r"{(\w+)}", model)]
        for path, summary in OIP_GETS.items():
            operation = _get(summary, f"oip_model{path.replace('/', '_')}{suffix}", "open inference protocol")
            paths[f"{model}{path}"] = {"parameters": parameters, "get": operation}
        paths[f"{model}/infer"] = {"parameters": parameters, "post": _infer(f"oip_infer{suffix}")}
    paths["/v2/repository/index"] = {"post": _get("Models and their states", "oip_index", "open inference protocol")}
    return paths


def _infer(operation: str) -> Json:
    octets: Json = {"application/octet-stream": {}}
    return {
        "tags": ["open inference protocol"],
        "operationId": operation,
        "summary": "Infer: tensors in, tensors out",
        "description": BINARY,
        "requestBody": {"required": True, "content": _json(_ref("InferRequest")) | octets},
        "responses": _answers(_json(_ref("InferResponse")) | octets, "The outputs"),
    }


def _operations() -> Json:
    paths: Json = {}
    for path, summary in OPERATIONS.items():
        tag = "open inference protocol" if path.startswith("/v2") else "operations"
        paths[path] = {"get": _get(summary, "get" + path.replace("/", "_"), tag)}
    text = {"text/plain": {"schema": {"type": "string"}}}
    metrics = _get("Prometheus metrics", "get_metrics", "operations")
    metrics["responses"] = _answers(text, "Prometheus text")
    return {**paths, "/metrics": {"get": metrics}}


def _get(summary: str, operation: str, tag: str) -> Json:
    return {"tags": [tag], "operationId": operation, "summary": summary, "responses": _answers(_json({}), summary)}


def _answers(content: Json, says: str) -> Json:
    header = {"schema": {"type": "string"}, "description": "The request's id: yours, or one of ours."}
    return {
        "200": {"description": says, "headers": {"X-Request-Id": header}, "content": content},
        **errors.references(),
    }


def _parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
