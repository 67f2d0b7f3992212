"""AWS Bedrock: Converse for chats of all its models, InvokeModel for embeddings of Titan and Cohere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from penstock.core.errors import ConfigError, PenstockError
from penstock.core.generation import Generation
from penstock.core.tensors import Array
from penstock.runtimes.remote.asking import check_offered, encoded, messages_of, not_offered, short, turns_of
from penstock.runtimes.remote.bedrock_embedding import asked, found, is_known, is_titan
from penstock.runtimes.remote.bedrock_reader import NAME, BedrockReader, error_of
from penstock.runtimes.remote.bedrock_turns import messages
from penstock.runtimes.remote.claude import thinking_of
from penstock.runtimes.remote.contract import HttpCall, RemoteModel

_PLACES = ("us.", "eu.", "apac.", "us-gov.", "global.", "jp.", "au.", "ca.")
"""What stands before the names of models that answer from several regions."""


class Bedrock:
    """See `contract.Dialect`. Calls are signed with AWS credentials, or carry a key of Bedrock."""

    variables: ClassVar[tuple[str, ...]] = ("AWS_BEARER_TOKEN_BEDROCK",)

    def settle(self, model: RemoteModel) -> RemoteModel:
        """With the region. Raises `ConfigError` where there is none, where there are no credentials and no key, and for
        embeddings of models whose form is not known here."""
        from penstock.runtimes.remote.bedrock_signing import check_credentials, region_of

        if model.task == "embedding" and not is_known(model):
            raise ConfigError(
                f"Bedrock: embeddings of {model.model[:64]} are not offered; take one of Titan's or Cohere's"
            )
        if not model.key and not any(os.environ.get(name) for name in self.variables):
            check_credentials()
        return msgspec.structs.replace(model, region=region_of(model))

    def counts(self, model: RemoteModel) -> bool:
        """There is a call that counts tokens, for Anthropic's models."""
        return _of_anthropic(model)

    def texts_at_once(self, model: RemoteModel) -> int:
        """As the models allow: Titan embeds one text at a time."""
        return 1 if is_titan(model) else 96

    def authorize(self, key: str) -> dict[str, str]:
        """The header that carries a key of Bedrock."""
        return {"authorization": f"Bearer {key}"}

    def generate(self, generation: Generation, model: RemoteModel) -> HttpCall:
        """The call for an answer, or for a number of tokens. Raises `BadInput`."""
        check_offered(NAME, generation, ("top_k", "think") if _of_anthropic(model) else ())
        prompt = _prompt(generation)
        if generation.count_only:
            return _call(_counting(model), "count-tokens", encoded({"input": {"converse": prompt}}, {}))
        body = prompt | _settings(generation, model)
        verb = "converse-stream" if model.streams else "converse"
        return _call(model, verb, encoded(body, model.extra), streamed=model.streams)

    def reader(self, generation: Generation) -> BedrockReader:
        """What reads the reply to it."""
        return BedrockReader(generation)

    def embed(self, texts: Sequence[str], model: RemoteModel) -> HttpCall:
        """The call for embeddings. Raises `BadInput` for more texts than the model takes at once."""
        return _call(model, "invoke", encoded(asked(texts, model), model.extra))

    def embeddings(self, body: bytes, count: int) -> tuple[Sequence[Sequence[float] | Array], int]:
        """Embeddings in order, and prompt tokens where they are told."""
        return found(body, count)

    def failure(self, status: int, headers: dict[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none."""
        return error_of(status, headers, body)


def _call(model: RemoteModel, verb: str, body: bytes, *, streamed: bool = False) -> HttpCall:
    base = model.url.rstrip("/") or f"https://bedrock-runtime.{model.region}.amazonaws.com"
    accept = "application/vnd.amazon.eventstream" if streamed else "application/json"
    headers = {"content-type": "application/json", "accept": accept}
    url = f"{base}/model/{quote(model.model, safe='')}/{verb}"
    return HttpCall(url, body, headers, "aws" if streamed else "json", sign="aws")


def _of_anthropic(model: RemoteModel) -> bool:
    return "anthropic." in model.model


def _counting(model: RemoteModel) -> RemoteModel:
    """The model itself: tokens are counted by models, not by those that spread requests over regions."""
    for place in _PLACES:
        if model.model.startswith(place):
            return msgspec.structs.replace(model, model=model.model.removeprefix(place))
    return model


def _prompt(generation: Generation) -> dict[str, Any]:
    system, turns = turns_of(messages_of(NAME, generation))
    called = any(message.calls for turn in turns for message in turn)
    return short(
        {
            "system": [{"text": system}] if system else None,
            "messages": messages(turns),
            "toolConfig": _tools(generation, called=called),
        }
    )


def _settings(generation: Generation, model: RemoteModel) -> dict[str, Any]:
    sampling = generation.sampling
    inference = {
        "maxTokens": sampling.max_tokens or model.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": list(sampling.stop) or None,
    }
    thinking = thinking_of(generation, model.model, sampling.max_tokens or model.max_tokens)
    more = short({"top_k": sampling.top_k or None, "thinking": thinking})
    return short(
        {
            "inferenceConfig": short(inference),
            "outputConfig": _output(generation),
            "additionalModelRequestFields": more or None,
        }
    )


def _output(generation: Generation) -> dict[str, Any] | None:
    if generation.format is None:
        return None
    if not generation.format:
        raise not_offered("response_format", f"{NAME} has no JSON without a schema; send the schema of the answer")
    schema = msgspec.json.encode(generation.format).decode()
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema, "name": "answer"}}}}


def _tools(generation: Generation, *, called: bool) -> dict[str, Any] | None:
    """The tools, and how they may be called. No tools is how none are called; where some were, they must be told."""
    choice = generation.tool_choice
    if not generation.tools or (choice == "none" and not called):
        return None
    if choice == "none":
        raise not_offered("tool_choice", f"{NAME} cannot forbid tools once some were called; leave tool_choice out")
    return short(
        {"tools": [_tool(generation, at) for at in range(len(generation.tools))], "toolChoice": _choice(choice)}
    )


def _choice(choice: str) -> dict[str, Any] | None:
    if choice.startswith("="):
        return {"tool": {"name": choice[1:]}}
    return {"any": {}} if choice == "required" else None


def _tool(generation: Generation, at: int) -> dict[str, Any]:
    tool = generation.tools[at]
    spec = {
        "name": tool.name,
        "description": tool.description or None,
        "inputSchema": {"json": {"type": "object", **tool.parameters}},
        "strict": tool.strict or None,
    }
    return {"toolSpec": short(spec)}
