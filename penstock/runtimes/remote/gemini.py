"""Google's Gemini API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Generation
from penstock.core.tensors import Array
from penstock.runtimes.remote.asking import (
    base_url,
    check_offered,
    encoded,
    merged,
    messages_of,
    short,
    turns_of,
    without_region,
)
from penstock.runtimes.remote.contract import HttpCall, RemoteModel
from penstock.runtimes.remote.failures import malformed
from penstock.runtimes.remote.gemini_reader import NAME, GeminiReader, error_of
from penstock.runtimes.remote.gemini_turns import contents

VERTEX = "https://aiplatform.googleapis.com/v1/publishers/google"
_JSON = {"content-type": "application/json"}
_OFFERS = ("n", "seed", "top_k", "presence_penalty", "frequency_penalty", "logprobs", "think")
_MODES = {"auto": "AUTO", "required": "ANY", "none": "NONE"}


class _Embedding(msgspec.Struct):
    values: list[float]


class _Counted(msgspec.Struct, rename="camel"):
    prompt_token_count: int = 0


class _Embeddings(msgspec.Struct, rename="camel"):
    embeddings: list[_Embedding]
    usage_metadata: _Counted | None = None


_embeddings = msgspec.json.Decoder(_Embeddings)


class Gemini:
    """See `contract.Dialect`."""

    variables: ClassVar[tuple[str, ...]] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

    def settle(self, model: RemoteModel) -> RemoteModel:
        """The settings as they are. Raises `ConfigError` for a region."""
        return without_region(NAME, model, f"; Vertex AI takes an API key at url: {VERTEX}")

    def counts(self, model: RemoteModel) -> bool:
        """There is a call that counts tokens."""
        return True

    def texts_at_once(self, model: RemoteModel) -> int:
        """As the API allows."""
        return 100

    def authorize(self, key: str) -> dict[str, str]:
        """The header that carries the key."""
        return {"x-goog-api-key": key}

    def generate(self, generation: Generation, model: RemoteModel) -> HttpCall:
        """The call for an answer, or for a number of tokens. Raises `BadInput`."""
        check_offered(NAME, generation, _OFFERS)
        prompt = self._prompt(generation, model)
        if generation.count_only:
            body = {"generateContentRequest": {"model": _name(model), **prompt}}
            return _call(model, "countTokens", encoded(body, {}))
        body = prompt | {"generationConfig": _settings(generation, model)}
        if model.streams:
            return _call(model, "streamGenerateContent?alt=sse", encoded(body, model.extra), streamed=True)
        return _call(model, "generateContent", encoded(body, model.extra))

    def reader(self, generation: Generation) -> GeminiReader:
        """What reads the reply to it."""
        return GeminiReader(choices=generation.choices, one_call=not generation.parallel_calls)

    def embed(self, texts: Sequence[str], model: RemoteModel) -> HttpCall:
        """The call for embeddings."""
        common = short({"model": _name(model), "outputDimensionality": model.dimensions or None})
        requests = [merged({**common, "content": {"parts": [{"text": text}]}}, model.extra) for text in texts]
        return _call(model, "batchEmbedContents", encoded({"requests": requests}, {}))

    def embeddings(self, body: bytes, count: int) -> tuple[Sequence[Sequence[float] | Array], int]:
        """Embeddings in order, and prompt tokens where they are told."""
        try:
            found = _embeddings.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise malformed(NAME) from None
        if len(found.embeddings) != count:
            raise malformed(NAME, f"{len(found.embeddings)} embeddings of {count} texts")
        tokens = found.usage_metadata.prompt_token_count if found.usage_metadata else 0
        return [embedding.values for embedding in found.embeddings], tokens

    def failure(self, status: int, headers: dict[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none."""
        return error_of(status, headers, body)

    def _prompt(self, generation: Generation, model: RemoteModel) -> dict[str, Any]:
        system, turns = turns_of(messages_of(NAME, generation))
        return short(
            {
                "contents": contents(turns, signed=_is_new(model)),
                "systemInstruction": {"parts": [{"text": system}]} if system else None,
                "tools": _tools(generation),
                "toolConfig": _tool_config(generation),
            }
        )


def _name(model: RemoteModel) -> str:
    return model.model if "/" in model.model else f"models/{model.model}"


def _call(model: RemoteModel, verb: str, body: bytes, *, streamed: bool = False) -> HttpCall:
    base = base_url(model.url, "https://generativelanguage.googleapis.com", model.api_version or "v1beta")
    url = f"{base}/{quote(_name(model), safe='/')}:{verb}"
    return HttpCall(url, body, _JSON, "sse" if streamed else "json")


def _is_new(model: RemoteModel) -> bool:
    """Whether it is Gemini 3 or later: those refuse calls in the conversation that have no signature, and think at
    levels that know no zero."""
    return not model.model.rpartition("/")[2].startswith(("gemini-1", "gemini-2"))


def _settings(generation: Generation, model: RemoteModel) -> dict[str, Any]:
    sampling = generation.sampling
    return short(
        {
            "candidateCount": generation.choices if generation.choices > 1 else None,
            "maxOutputTokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "topP": sampling.top_p,
            "topK": sampling.top_k or None,
            "stopSequences": list(sampling.stop) or None,
            "seed": None if sampling.seed is None else sampling.seed & 0x7FFFFFFF,
            "presencePenalty": sampling.presence_penalty or None,
            "frequencyPenalty": sampling.frequency_penalty or None,
            "responseLogprobs": True if sampling.logprobs is not None else None,
            "logprobs": sampling.logprobs or None,
            "responseMimeType": "application/json" if generation.format is not None else None,
            "responseJsonSchema": generation.format or None,
            "thinkingConfig": _thinking(generation, model),
        }
    )


def _thinking(generation: Generation, model: RemoteModel) -> dict[str, Any] | None:
    """Whether thoughts are told, or kept as few as the model can."""
    if generation.think is None:
        return None
    if generation.think:
        return {"includeThoughts": True}
    return {"thinkingLevel": "low"} if _is_new(model) else {"thinkingBudget": 0}


def _tools(generation: Generation) -> list[dict[str, Any]] | None:
    declared = [
        short(
            {
                "name": tool.name,
                "description": tool.description or None,
                "parametersJsonSchema": tool.parameters or None,
            }
        )
        for tool in generation.tools
    ]
    return [{"functionDeclarations": declared}] if declared else None


def _tool_config(generation: Generation) -> dict[str, Any] | None:
    choice = generation.tool_choice
    if not generation.tools or choice == "auto":
        return None
    if choice.startswith("="):
        return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [choice[1:]]}}
    return {"functionCallingConfig": {"mode": _MODES[choice]}}
