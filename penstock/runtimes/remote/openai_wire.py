"""What OpenAI's API answers, as far as it is read. Fields that are not named here are skipped."""

from __future__ import annotations

from typing import Any

import msgspec


class Part(msgspec.Struct):
    """A part of a content that is a list, as Mistral's are."""

    type: str = "text"
    text: str = ""
    thinking: str | list[dict[str, Any]] = ""


Content = str | list[Part] | None


class Function(msgspec.Struct):
    """The function of a call, or a piece of it."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(msgspec.Struct):
    """A call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function = msgspec.field(default_factory=Function)


class Said(msgspec.Struct):
    """A message, or what is new of it."""

    content: Content = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None


class TopLogprob(msgspec.Struct):
    """A token that could have been."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(msgspec.Struct):
    """A token that was chosen."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[TopLogprob] = []


class Logprobs(msgspec.Struct):
    """The tokens of a piece of text; of a completion: in columns."""

    content: list[Logprob] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class Choice(msgspec.Struct):
    """One of the answers: whole (`message`), what is new of it (`delta`), or a completion's `text`."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class PromptDetails(msgspec.Struct):
    """Of the prompt's tokens."""

    cached_tokens: int | None = None


class AnswerDetails(msgspec.Struct):
    """Of the answer's tokens."""

    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class Tokens(msgspec.Struct):
    """What an answer took."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: AnswerDetails | None = None
    prompt_cache_hit_tokens: int | None = None


class Chunk(msgspec.Struct):
    """A message of a stream, or a whole answer."""

    choices: list[Choice] = []
    usage: Tokens | None = None
    error: Any = None
    object: str | None = None
    message: str | None = None


class Embedding(msgspec.Struct):
    """One embedding: numbers, or their bytes as base64."""

    embedding: str | list[float]
    index: int | None = None


class Embeddings(msgspec.Struct):
    """The answer to a request for embeddings."""

    data: list[Embedding]
    usage: Tokens | None = None


class ErrorBody(msgspec.Struct):
    """An error, as OpenAI and most of the others write it."""

    error: Any = None
    message: Any = None
    detail: Any = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
decode_embeddings = msgspec.json.Decoder(Embeddings).decode
decode_error = msgspec.json.Decoder(ErrorBody).decode
