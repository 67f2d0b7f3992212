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
)
from penstock.runtimes.remote.contract import HttpCall, RemoteModel

NAME = "Anthropic"
VERSION = "2023-06-01"
LEAST_BUDGET = 1024
"""Tokens of thoughts that the API asks for at least."""
_OFFERS = ("top_k", "think")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


class Anthropic:
    """See `contract.Dialect`."""

    variables: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)

    def settle(self, model: RemoteModel) -> RemoteModel:
        """The settings as they are. Raises `ConfigError` for embeddings, which Anthropic does not have."""
        if model.task == "embedding":
            raise ConfigError("Anthropic has no embeddings; take a model of another provider, or a local one")
        return model

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
        return self._call(url, encoded(body, model.extra), model, streamed=model.stream)

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
                "thinking": _thinking(generation, model, answering=bool(turns[-1][0].role == "tool")),
                "output_config": _output(generation),
            }
        )

    def _settings(self, generation: Generation, model: RemoteModel) -> dict[str, Any]:
        sampling = generation.sampling
        return short(
            {
                "max_tokens": sampling.max_tokens or model.max_tokens,
                "stream": model.stream or None,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k or None,
                "stop_sequences": list(sampling.stop) or None,
            }
        )


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


def _thinking(generation: Generation, model: RemoteModel, *, answering: bool) -> dict[str, Any] | None:
    """Thoughts may take half of the answer. While the results of tools are answered there are none: they would have to
    go on from thoughts signed by Anthropic, which no client of another protocol gives back."""
    if generation.think is None or "thinking" in model.extra or answering:
        return None
    if not generation.think:
        return {"type": "disabled"}
    most = generation.sampling.max_tokens or model.max_tokens
    if most <= LEAST_BUDGET and not generation.count_only:
        raise not_offered("max_tokens", f"Anthropic thinks only where max_tokens is over {LEAST_BUDGET}, got {most}")
    return {"type": "enabled", "budget_tokens": max(LEAST_BUDGET, most // 2)}


def _output(generation: Generation) -> dict[str, Any] | None:
    if generation.format is None:
        return None
    if not generation.format:
        raise not_offered("response_format", "Anthropic has no JSON without a schema; send the schema of the answer")
    return {"format": {"type": "json_schema", "schema": generation.format}}
