"""Keys, wishes, what answers say of themselves, and feedback, in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from penstock.core.principal import Verb
from penstock.protocols import feedback, hints
from penstock.protocols.docs.parts import Json, explain, object_of, post

TAG = "operations"
SCHEMES: Mapping[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "Authorization: Bearer KEY, as OpenAI's clients."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "As Anthropic's clients."},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key", "description": "As Azure's clients."},
}
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"x-api-key": []}, {"api-key": []}, {}]
"""Any of them; none where the server has no keys."""
SAID: Mapping[str, str] = {
    "X-Penstock-Model": "Who answered: model@version.",
    "X-Penstock-Route": "The route that chose the model.",
    "X-Penstock-Reason": "Why this model.",
    "X-Penstock-Tries": "How many models were asked.",
    "X-Penstock-Degraded": "Under overload: the step of the route's ladder.",
    "X-Penstock-Cache": "hit or miss, where answers are kept.",
    "X-Penstock-Cost": "What the answer cost, in USD; of a stream, in its last event instead.",
    "Age": "How many seconds ago a kept answer was given.",
    "RateLimit": "What is left of the caller's limits.",
}
"""Headers of answers, where they are known."""


def components() -> Json:
    """The ways to send a key, and the headers of requests and answers."""
    return {
        "securitySchemes": dict(SCHEMES),
        "parameters": {name: _wish(name, says) for name, says in hints.FIELDS.items()},
        "headers": {name: {"description": says, "schema": {"type": "string"}} for name, says in SAID.items()},
    }


def _wish(name: str, says: str) -> Json:
    return {"name": name, "in": "header", "description": f"{says[:1].upper()}{says[1:]}.", "schema": {"type": "string"}}


def guarded(paths: Json, verb: Callable[[str, str], Verb]) -> Json:
    """The paths, with what `verb` (of a method and path) means for a caller: probes need no key; who asks models may
    wish something, and is told who answered."""
    return {
        path: {
            method: part if method == "parameters" else _operation(part, verb(method.upper(), path))
            for method, part in item.items()
        }
        for path, item in paths.items()
    }


def _operation(operation: Json, verb: Verb) -> Json:
    if verb == "none":
        return operation | {"security": []}
    operation = operation | {"x-penstock-verb": verb}
    if verb != "infer" or "200" not in operation["responses"]:
        return operation
    ok = operation["responses"]["200"]
    headers = ok["headers"] | {name: {"$ref": f"#/components/headers/{name}"} for name in SAID}
    wishes = [{"$ref": f"#/components/parameters/{name}"} for name in hints.FIELDS]
    responses = operation["responses"] | {"200": ok | {"headers": headers}}
    return operation | {"parameters": wishes, "responses": responses}


def paths(answers: Any) -> Json:
    """Feedback."""
    operation = post(TAG, "feedback", "How good an answer was", "Feedback", answers)
    responses = operation["responses"]
    taken = {"202": responses["200"] | {"description": "It is taken."}}
    given = taken | {status: answer for status, answer in responses.items() if status != "200"}
    return {"/v1/feedback": {"post": operation | {"responses": given}}}


def schemas() -> Json:
    """Its message and answer."""
    kinds = (feedback.FeedbackRequest,)
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    explain(found["FeedbackRequest"], feedback.FIELDS, [{"request": "5d2f0c1a9b7e-1f", "score": 1.0}])
    score = {"type": "number", "minimum": 0, "maximum": 1}
    return found | {"FeedbackResponse": object_of("request score", request={"type": "string"}, score=score)}
