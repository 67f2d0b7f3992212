"""What the dialects of all providers share when they write a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from penstock.core.errors import BadInput, ConfigError, NotOffered
from penstock.core.generation import Generation, Message
from penstock.runtimes.remote.contract import RemoteModel

_ASKED: dict[str, Callable[[Generation], bool]] = {
    "n": lambda asked: asked.choices != 1,
    "seed": lambda asked: asked.sampling.seed is not None,
    "top_k": lambda asked: bool(asked.sampling.top_k),
    "min_p": lambda asked: bool(asked.sampling.min_p),
    "presence_penalty": lambda asked: asked.sampling.presence_penalty != 0,
    "frequency_penalty": lambda asked: asked.sampling.frequency_penalty != 0,
    "repetition_penalty": lambda asked: asked.sampling.repetition_penalty not in (None, 1.0),
    "logprobs": lambda asked: asked.sampling.logprobs is not None,
    "logit_bias": lambda asked: bool(asked.sampling.logit_bias),
    "min_tokens": lambda asked: asked.sampling.min_tokens > 0,
    "ignore_eos": lambda asked: asked.sampling.ignore_eos,
    "stop_token_ids": lambda asked: bool(asked.sampling.stop_token_ids),
    "adapter": lambda asked: bool(asked.adapter),
    "echo": lambda asked: asked.echo,
    "think": lambda asked: asked.think is not None,
}
"""What some providers have and others have not: the name that clients know it by, and whether a request asks for it."""


def check_offered(provider: str, asked: Generation, offers: Collection[str]) -> None:
    """Raises `NotOffered` for the first setting that the request sets and the provider does not have."""
    for name, is_asked in _ASKED.items():
        if name not in offers and is_asked(asked):
            raise not_offered(name, f"{provider} has no {name}; leave it out, or ask a model that has it")


def not_offered(param: str, message: str) -> NotOffered:
    """The refusal of one field."""
    error = NotOffered(message)
    error.param = param
    return error


def messages_of(provider: str, asked: Generation) -> tuple[Message, ...]:
    """The conversation; a plain text prompt is a user's message. Raises `NotOffered` for token ids."""
    if asked.prompt is None:
        return asked.messages
    if not isinstance(asked.prompt, str):
        raise not_offered("prompt", f"{provider} takes texts, no token ids; send the prompt as text")
    return (Message("user", asked.prompt),)


def turns_of(messages: tuple[Message, ...]) -> tuple[str, list[list[Message]]]:
    """The system's texts, and the conversation in turns: messages that follow each other on one side (the user and
    the tools, or the assistant) are one. Messages without anything in them are left out. Raises `BadInput` where no
    message is left."""
    system = "\n\n".join(message.content for message in messages if message.role == "system" and message.content)
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "system" or not (message.content or message.calls or message.role == "tool"):
            continue
        if turns and (turns[-1][0].role == "assistant") == (message.role == "assistant"):
            turns[-1].append(message)
        else:
            turns.append([message])
    if not turns:
        error = BadInput("the messages are empty; send at least one with text, of a user")
        error.param = "messages"
        raise error
    return system, turns


def encoded(body: Mapping[str, Any], extra: Mapping[str, Any]) -> bytes:
    """A body as JSON, with the model's own fields over it; objects are put together, everything else is replaced."""
    return msgspec.json.encode(merged(body, extra) if extra else body)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where both have an object, these are put together, and else the second counts."""
    whole = dict(under)
    for name, value in over.items():
        old = whole.get(name)
        whole[name] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return whole


def without_region(provider: str, model: RemoteModel, instead: str = "") -> RemoteModel:
    """The settings. Raises `ConfigError` for a region, which the provider's API does not have."""
    if model.region:
        raise ConfigError(f"region is for Bedrock, and {provider} has none; take it out{instead}")
    return model


def base_url(given: str, public: str, version: str) -> str:
    """Where an API is, with its version: a URL that has no path, or only "/", gets it."""
    url = (given or public).rstrip("/")
    return url if "/" in url.partition("://")[2] else f"{url}/{version}"


def arguments_of(text: str) -> dict[str, Any]:
    """The arguments of an earlier call as an object. Raises `BadInput` where they are none."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        error = BadInput("the arguments of a tool call in the conversation are no JSON object")
        error.param = "messages"
        raise error from None


def short(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are set."""
    return {name: value for name, value in fields.items() if value is not None}
