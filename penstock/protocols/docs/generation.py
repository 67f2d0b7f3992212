"""The doors for language models in the OpenAPI document: chats, completions, responses, tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from penstock.core.language import GENERATION
from penstock.core.model import ModelView
from penstock.protocols.docs.parts import Json, explain, list_of, object_of, post
from penstock.protocols.openai import tokens
from penstock.protocols.openai.chat import request as chat
from penstock.protocols.openai.completions import request as completions
from penstock.protocols.openai.responses import request as responses

TAG = "language models"
DOORS = {
    "/v1/chat/completions": ("openai_chat", "The next turn of a conversation, as OpenAI's API has it", "Chat", True),
    "/v1/completions": ("openai_completion", "How a text goes on, as OpenAI's API has it", "Completion", True),
    "/v1/responses": (
        "openai_response",
        "The next turn of a conversation, as OpenAI's newer API has it",
        "Responses",
        True,
    ),
    "/tokenize": ("tokenize", "The tokens of a text or a conversation, as vLLM has it", "Tokenize", False),
    "/detokenize": ("detokenize", "The text of token ids, as vLLM has it", "Detokenize", False),
}
"""Path → operation, what it does, the name of its messages, and whether it can stream."""
_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_NULLABLE = {"type": ["string", "null"]}


def generates(model: ModelView) -> bool:
    """Whether a model version generates text."""
    return model.signature is not None and model.signature.task == GENERATION


def bodies(name: str) -> dict[str, Json]:
    """An example of a body by path, for a model of that name."""
    question = [{"role": "user", "content": "Hello! Who are you?"}]
    return {
        "/v1/chat/completions": {"model": name, "messages": question, "max_completion_tokens": 200},
        "/v1/responses": {"model": name, "input": "Hello! Who are you?", "max_output_tokens": 200},
        "/v1/completions": {"model": name, "prompt": "Once upon a time", "max_tokens": 60},
        "/tokenize": {"model": name, "prompt": "Hello!"},
        "/detokenize": {"model": name, "tokens": [1, 2, 3]},
    }


def paths(answers: Any) -> Json:
    """The paths; `answers` makes an operation's responses of a content and a sentence."""
    return {
        path: {"post": post(TAG, operation, says, kind, answers, streams=streams)}
        for path, (operation, says, kind, streams) in DOORS.items()
    }


def schemas(models: Iterable[ModelView]) -> Json:
    """Requests and responses of the paths, with examples for the models that are served."""
    kinds = (
        chat.ChatRequest, completions.CompletionRequest, responses.ResponsesRequest,
        tokens.TokenizeRequest, tokens.DetokenizeRequest,
    )  # fmt: skip
    _, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    served = [model.spec.name for model in models if generates(model)][:3]
    for path, (kind, fields, refused) in _REQUESTS.items():
        schema = found[f"{kind}Request"]
        explain(schema, fields, [bodies(name)[path] for name in served])
        for name, (harmless, why) in refused.items():
            schema["properties"][name] = {"enum": [None, *harmless], "description": f"Not offered: {why}."}
    return found | {f"{kind}Response": schema for kind, schema in _RESPONSES.items()}


_REQUESTS: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, tuple[tuple[Any, ...], str]]]] = {
    "/v1/chat/completions": ("Chat", chat.FIELDS, chat.NOT_OFFERED),
    "/v1/completions": ("Completion", completions.FIELDS, completions.NOT_OFFERED),
    "/v1/responses": ("Responses", responses.FIELDS, responses.NOT_OFFERED),
    "/tokenize": ("Tokenize", tokens.FIELDS, tokens.NOT_OFFERED),
    "/detokenize": ("Detokenize", tokens.DETOKENIZE_FIELDS, {}),
}
_USAGE = object_of(
    "prompt_tokens completion_tokens total_tokens",
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    total_tokens=_COUNT,
    prompt_tokens_details=object_of("cached_tokens", cached_tokens=_COUNT),
    completion_tokens_details=object_of("reasoning_tokens", reasoning_tokens=_COUNT),
)
_CALL = object_of(
    "id type function",
    id=_TEXT,
    type={"const": "function"},
    function=object_of("name arguments", name=_TEXT, arguments={**_TEXT, "description": "A JSON object, as text."}),
)
_MESSAGE = object_of(
    "role content",
    role={"const": "assistant"},
    content=_NULLABLE,
    reasoning_content={**_TEXT, "description": "What the model thought first, where it did; also as `reasoning`."},
    tool_calls=list_of(_CALL),
)


def _answer(kind: str, reasons: str, **said: Json) -> Json:
    """The schema of an answer in choices: `said` is in each, with why it ended."""
    choice = object_of(
        f"index {' '.join(said)} finish_reason",
        index=_COUNT,
        **said,
        logprobs={"type": ["object", "null"]},
        finish_reason={"enum": reasons.split()},
    )
    return object_of(
        "id object created model choices usage",
        id=_TEXT,
        object={"const": kind},
        created=_COUNT,
        model=_TEXT,
        choices=list_of(choice),
        usage=_USAGE,
    )


_RESPONSES: Mapping[str, Json] = {
    "Chat": _answer("chat.completion", "stop length tool_calls", message=_MESSAGE),
    "Completion": _answer("text_completion", "stop length", text=_TEXT),
    "Responses": object_of(
        "id object created_at model status output usage",
        id=_TEXT,
        object={"const": "response"},
        created_at=_COUNT,
        model=_TEXT,
        status={"enum": ["completed", "incomplete"]},
        incomplete_details={"type": ["object", "null"]},
        output=list_of({"type": "object", "description": "A message, reasoning, or a function_call."}),
        usage=object_of(
            "input_tokens output_tokens total_tokens", input_tokens=_COUNT, output_tokens=_COUNT, total_tokens=_COUNT
        ),
    ),
    "Tokenize": object_of(
        "count max_model_len tokens",
        count=_COUNT,
        max_model_len={"type": ["integer", "null"], "description": "The context: prompt and answer together."},
        tokens=list_of(_COUNT),
    ),
    "Detokenize": object_of("prompt", prompt=_TEXT),
}
