"""The doors for text models in the OpenAPI document: /v1/embeddings, /v1/rerank, /v1/models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from penstock.core.language import GENERATION
from penstock.core.model import ModelSpec, ModelView
from penstock.core.signature import Signature
from penstock.protocols import rerank
from penstock.protocols.docs import generation
from penstock.protocols.docs.parts import Json, explain, get, object_of, post
from penstock.protocols.openai import messages as openai

TAG = "text models"
EXAMPLES: Mapping[str, list[Any]] = {
    "embedding": ["a red bicycle", "how to repair a bicycle"],
    "classification": ["I like it very much", "it broke on the first day"],
    "reranking": [{"text": "how to repair a bicycle", "text_pair": "Bicycle repair for beginners"}],
    "token-classification": ["Ada Lovelace was born in London"],
}
"""Rows for the predict door by task."""
_DOCUMENTS = ["Bicycle repair for beginners", "A history of tea", "Tools for every garage"]
_NUMBER = {"type": ["number", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_TRUNCATED = {"type": "array", "items": _COUNT, "description": "Rows that were cut to what the model reads, if any."}


class Described(Protocol):
    """A model version whose files and signature are known."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def signature(self) -> Signature | None: ...


def rows_for(model: Described) -> list[Any] | None:
    """Example rows for a model's predict door: its own, or some for its task."""
    task = model.signature.task if model.signature is not None else ""
    return model.spec.example or EXAMPLES.get(task)


def other_doors(model: ModelView) -> list[Json]:
    """Paths beside predict that take requests for a model, each with an example of a body."""
    task = model.signature.task if model.signature is not None else ""
    found = generation.bodies(model.spec.name) if task == GENERATION else _bodies(model.spec.name).get(task, {})
    return [{"path": path, "body": body} for path, body in found.items()]


def _bodies(name: str) -> dict[str, dict[str, Json]]:
    search = {"model": name, "query": "how to repair a bicycle", "documents": _DOCUMENTS}
    return {
        "embedding": {"/v1/embeddings": {"model": name, "input": EXAMPLES["embedding"]}},
        "reranking": {"/v1/rerank": {**search, "top_n": 2, "return_documents": True}},
    }


def paths(answers: Any) -> Json:
    """The paths; `answers` makes an operation's responses of a content and a sentence."""
    listed = get(TAG, "The served models, as OpenAI's clients list them", "openai_models", answers)
    one = get(TAG, "One served model", "openai_model", answers)
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    found: Json = {"/v1/models": {"get": listed}, "/v1/models/{model}": {"parameters": [name], "get": one}}
    says = "Embeddings of texts or token ids, as OpenAI's API has them"
    found["/v1/embeddings"] = {"post": post(TAG, "openai_embeddings", says, "Embeddings", answers)}
    for path, version in rerank.PATHS.items():
        operation = "rerank" + path.replace("/rerank", "").replace("/", "_")
        says = f"Documents in the order of their relevance to a query, as in version {version} of Cohere's API"
        found[path] = {"post": post(TAG, operation, says, "Rerank", answers)}
    return found


def schemas(models: Iterable[ModelView]) -> Json:
    """Requests and responses of the paths, with examples for the models that are served."""
    kinds = (openai.EmbeddingsRequest, rerank.RerankRequest)
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    served = list(models)
    explain(found["EmbeddingsRequest"], openai.FIELDS, _examples(served, "embedding"))
    explain(found["RerankRequest"], rerank.FIELDS | rerank.NOT_OFFERED, _examples(served, "reranking"))
    for name in rerank.NOT_OFFERED:
        found["RerankRequest"]["properties"][name]["type"] = "null"
    return found | {"EmbeddingsResponse": _EMBEDDINGS, "RerankResponse": _RERANKED}


def _examples(models: Iterable[ModelView], task: str) -> list[Json]:
    served = (model for model in models if model.signature is not None and model.signature.task == task)
    return [door["body"] for model in served for door in other_doors(model)][:3]


_EMBEDDINGS = object_of(
    "object data model usage",
    object={"const": "list"},
    data={
        "type": "array",
        "items": object_of(
            "object index embedding",
            object={"const": "embedding"},
            index=_COUNT,
            embedding={"oneOf": [{"type": "array", "items": _NUMBER}, {"type": "string"}]},
        ),
    },
    model={"type": "string"},
    usage=object_of("prompt_tokens total_tokens", prompt_tokens=_COUNT, total_tokens=_COUNT),
    truncated=_TRUNCATED,
)
_RERANKED = object_of(
    "id model results usage",
    id={"type": "string"},
    model={"type": "string"},
    results={
        "type": "array",
        "items": object_of(
            "index relevance_score",
            index=_COUNT,
            relevance_score=_NUMBER,
            document={"type": "object", "description": "With return_documents."},
        ),
    },
    meta={"type": "object"},
    usage=object_of("total_tokens", total_tokens=_COUNT),
    truncated=_TRUNCATED,
)
