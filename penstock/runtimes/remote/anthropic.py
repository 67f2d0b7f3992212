"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from penstock.core.errors import ConfigError, NotOffered, PenstockError
from penstock.core.generation import Generation
from penstock.core.tensors import Array
from penstock.runtimes.remote.anthropic_reader import AnthropicReader, error_of
from penstock.runtimes.remote.anthropic_turns import messages
from penstock.runtimes.remote.asking import (
    base_url,
    check_offered,
    encoded,
    messages_of,
    not_offered,
    short,
    turns_of,
    without_region,
)
from penstock.runtimes.remote.claude import thinking_of
from penstock.runtimes.remote.contract import HttpCall, RemoteModel

NAME = "Anthropic"
VERSION = "2023-06-01"
"""Not the newest: this one lets models that still have temperature, top_p and top_k have them."""
NO_SAMPLING = "2026-10-21"
"""From this version on these settings are errors."""
_OFFERS = ("top_k", "think")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


class Anthropic:
    """See `contract.Dialect`."""

    variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)

    def settle(self, model: RemoteModel) -> RemoteModel:
        """The settings as they are. Raises `ConfigError` for embeddings and a region, which Anthropic does not have."""
        if model.task == "embedding":
            raise ConfigError("Anthropic has no embeddings; take a model of another provider, or a local one")
        return without_region(NAME, model)

    def counts(self, model: RemoteModel) -> bool:
        """There is a call that counts tokens."""
        return True

    def texts_at_once(self, model: RemoteModel) -> int:
        """None; there are no embeddings."""
        return 0

    def authorize(self, key: str) -> dict[str, str]:
        """The header that carries the key."""
        return {"x-api-key": key}

    def generate(self, generation: Generation, model: RemoteModel) -> HttpCall:
        """The call for an answer, or for a number of tokens. Raises `BadInput`."""
        check_offered(NAME, generation, _OFFERS)
        url = f"{base_url(model.url, 'https://api.anthropic.com', 'v1')}/messages"
        prompt = self._prompt(generation, model)
        if generation.count_only:
            return self._call(f"{url}/count_tokens", encoded(prompt, {}), model, streamed=False)
        body = prompt | self._settings(generation, model)
        return self._call(url, encoded(body, model.extra), model, streamed=model.streams)

    def reader(self, generation: Generation) -> AnthropicReader:
        """What reads the reply to it."""
        return AnthropicReader(one_call=not generation.parallel_calls)

    def embed(self, texts: Sequence[str], model: RemoteModel) -> HttpCall:
        """Raises `NotOffered`: there are no embeddings."""
        raise NotOffered("Anthropic has no embeddings; ask another model")

    def embeddings(self, body: bytes, count: int) -> tuple[Sequence[Sequence[float] | Array], int]:
        """Raises `NotOffered`."""
        raise NotOffered("Anthropic has no embeddings; ask another model")

    def failure(self, status: int, headers: dict[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none."""
        return error_of(status, headers, body)

    def _call(self, url: str, body: bytes, model: RemoteModel, *, streamed: bool) -> HttpCall:
        headers = {"content-type": "application/json", "anthropic-version": model.api_version or VERSION}
        return HttpCall(url, body, headers, "sse" if streamed else "json")

    def _prompt(self, generation: Generation, model: RemoteModel) -> dict[str, Any]:
        """What is read, and what thoughts there may be."""
        system, turns = turns_of(messages_of(NAME, generation))
        return short(
            {
                "model": model.model,
                "system": system or None,
                "messages": messages(turns),
                "tools": _tools(generation) or None,
                "tool_choice": _tool_choice(generation),
                "thinking": _thinking(generation, model),
                "output_config": _output(generation),
            }
        )

    def _settings(self, generation: Generation, model: RemoteModel) -> dict[str, Any]:
        sampling = generation.sampling
        settings = {
            "max_tokens": sampling.max_tokens or model.max_tokens,
            "stream": model.streams or None,
            "stop_sequences": list(sampling.stop) or None,
        }
        return short(settings | _sampling(generation, model))


def _sampling(generation: Generation, model: RemoteModel) -> dict[str, Any]:
    """How tokens are chosen. Raises `NotOffered` in versions of the API that do not let requests say so."""
    sampling = generation.sampling
    settings = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k or None}
    if model.api_version < NO_SAMPLING:
        return settings
    for name, value in settings.items():
        if value not in (None, 1.0):
            raise not_offered(name, f"{NAME} has no {name} in API version {model.api_version}; leave it out")
    return {}


def _tools(generation: Generation) -> list[dict[str, Any]]:
    return [
        short(
            {
                "name": tool.name,
                "description": tool.description or None,
                "input_schema": {"type": "object", **tool.parameters},
                "strict": tool.strict or None,
            }
        )
        for tool in generation.tools
    ]


def _tool_choice(generation: Generation) -> dict[str, Any] | None:
    """How tools may be called; nothing where the API's own ways are meant."""
    choice = generation.tool_choice
    if not generation.tools or (choice == "auto" and generation.parallel_calls):
        return None
    if choice == "none":
        return {"type": "none"}
    named: dict[str, Any] = (
        {"type": "tool", "name": choice[1:]} if choice.startswith("=") else {"type": _CHOICES[choice]}
    )
    return named if generation.parallel_calls else named | {"disable_parallel_tool_use": True}


def _thinking(generation: Generation, model: RemoteModel) -> dict[str, Any] | None:
    if "thinking" in model.extra:
        return None
    return thinking_of(generation, model.model, generation.sampling.max_tokens or model.max_tokens)


def _output(generation: Generation) -> dict[str, Any] | None:
    if generation.format is None:
        return None
    if not generation.format:
        raise not_offered("response_format", "Anthropic has no JSON without a schema; send the schema of the answer")
    return {"format": {"type": "json_schema", "schema": generation.format}}
