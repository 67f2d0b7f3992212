"""OpenAI's API: chats, completions, embeddings; and that of everybody who speaks it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from penstock.core.errors import ConfigError, PenstockError, ProviderFailed
from penstock.core.generation import Generation
from penstock.core.tensors import Array
from penstock.runtimes.remote import asking
from penstock.runtimes.remote.calls import plain_id
from penstock.runtimes.remote.contract import Framing, HttpCall, Reader, RemoteModel
from penstock.runtimes.remote.failures import failed, malformed
from penstock.runtimes.remote.openai_asking import Body, chat_of, own_sampling_of, sampling_of
from penstock.runtimes.remote.openai_reading import OpenAIReader
from penstock.runtimes.remote.openai_wire import Embedding, decode_embeddings, decode_error

JSON = {"content-type": "application/json"}
OFFERS = ("n", "seed", "presence_penalty", "frequency_penalty", "logprobs", "logit_bias", "think", "echo")
MORE_OFFERS = (*OFFERS, "top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids")
EFFORTS = {True: "medium", False: "none"}
"""How much to reason, where a request says whether."""


class OpenAI:
    """OpenAI itself. `longest`: its name of the longest answer."""

    name: ClassVar[str] = "openai"
    public: ClassVar[str] = "https://api.openai.com/v1"
    variables: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    offers: ClassVar[Collection[str]] = OFFERS
    longest: ClassVar[str] = "max_completion_tokens"

    def settle(self, model: RemoteModel) -> RemoteModel:
        """As they are."""
        return model

    def counts(self, model: RemoteModel) -> bool:
        """There is no call for it."""
        return False

    def texts_at_once(self, model: RemoteModel) -> int:
        """As OpenAI's reference says."""
        return 2048

    def authorize(self, key: str) -> dict[str, str]:
        """The headers that carry the key."""
        return {"authorization": f"Bearer {key}"}

    # --- generated text

    def generate(self, generation: Generation, model: RemoteModel) -> HttpCall:
        """A chat; a completion for a plain prompt. Raises `BadInput` for what the provider does not have."""
        asking.check_offered(self.name, generation, self.offers)
        chat = generation.prompt is None
        body = self._chat(generation) if chat else self._completion(generation)
        body |= self._sampling(generation)
        if model.streams:
            body |= self._streamed()
        path = "chat/completions" if chat else "completions"
        framing: Framing = "sse" if model.streams else "json"
        instead = "" if chat else "send messages, as a chat"
        return HttpCall(self._url(model, path), self._encoded(body, model), JSON, framing, instead=instead)

    def _chat(self, generation: Generation) -> Body:
        body = chat_of(generation, generation.messages, plain_id)
        if generation.echo:
            raise asking.not_offered("echo", "echo is for a plain prompt, and this is a chat; leave it out")
        if generation.think is not None:
            body["reasoning_effort"] = EFFORTS[generation.think]
        if generation.sampling.logprobs is not None:
            body |= {"logprobs": True, "top_logprobs": generation.sampling.logprobs}
        return body

    def _completion(self, generation: Generation) -> Body:
        if generation.format is not None or generation.tools:
            raise asking.not_offered("prompt", f"{self.name} has tools and formats for chats only; send messages")
        body: Body = {"prompt": generation.prompt}
        if generation.echo:
            body["echo"] = True
        if generation.sampling.logprobs is not None:
            body["logprobs"] = generation.sampling.logprobs
        return body

    def _sampling(self, generation: Generation) -> Body:
        return sampling_of(generation, self.longest if generation.prompt is None else "max_tokens")

    def _streamed(self) -> Body:
        return {"stream": True, "stream_options": {"include_usage": True}}

    def reader(self, generation: Generation) -> Reader:
        """What reads the reply."""
        return OpenAIReader(self.name, generation)

    # --- embeddings

    def embed(self, texts: Sequence[str], model: RemoteModel) -> HttpCall:
        """The call for embeddings."""
        body: Body = {"input": list(texts), **self._numbers(model)}
        return HttpCall(self._url(model, "embeddings"), self._encoded(body, model), JSON, "json")

    def _numbers(self, model: RemoteModel) -> Body:
        """How the numbers come: as base64, which is a third of the bytes and read at once."""
        wanted: Body = {"encoding_format": "base64"}
        return {**wanted, "dimensions": model.dimensions} if model.dimensions else wanted

    def embeddings(self, body: bytes, count: int) -> tuple[Sequence[Sequence[float] | Array], int]:
        """Embeddings in order and prompt tokens. Raises `ProviderFailed`."""
        try:
            answer = decode_embeddings(body)
            found = sorted(answer.data, key=lambda each: each.index or 0)
            vectors = [_numbers_of(each) for each in found]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            raise malformed(self.name) from None
        if len(vectors) != count:
            raise ProviderFailed(f"{self.name} gave {len(vectors)} embeddings for {count} texts")
        return vectors, 0 if answer.usage is None else answer.usage.prompt_tokens

    # --- what both share

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none."""
        return failed(self.name, status, headers, words_of(body))

    def _url(self, model: RemoteModel, path: str) -> str:
        return f"{asking.base_url(model.url, self.public, 'v1')}/{path}"

    def _encoded(self, body: Body, model: RemoteModel) -> bytes:
        """`stream_options` are refused where nothing streams."""
        extra = model.extra
        if "stream_options" in extra and "stream" not in body:
            extra = {name: value for name, value in extra.items() if name != "stream_options"}
        return asking.encoded({"model": model.model, **body}, extra)


class Compatible(OpenAI):
    """Anybody else who speaks OpenAI's API: vLLM, Ollama, LM Studio, TGI and many a provider."""

    name = "the provider"
    variables = ()
    offers = MORE_OFFERS
    longest = "max_tokens"

    def settle(self, model: RemoteModel) -> RemoteModel:
        """Raises `ConfigError` where nobody said where it is."""
        if not model.url:
            raise ConfigError("url is missing: where the API is, such as http://127.0.0.1:8000/v1")
        return model

    def texts_at_once(self, model: RemoteModel) -> int:
        """What a local server computes at once without being busy for long."""
        return 64

    def _sampling(self, generation: Generation) -> Body:
        return {**super()._sampling(generation), **own_sampling_of(generation)}

    def _numbers(self, model: RemoteModel) -> Body:
        return {}


def _numbers_of(each: Embedding) -> Sequence[float] | Array:
    if isinstance(each.embedding, list):
        return each.embedding
    return np.frombuffer(base64.b64decode(each.embedding, validate=True), "<f4")


def words_of(body: bytes) -> str:
    """What an error's body says."""
    try:
        found = decode_error(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    error: Any = found.error if found.error is not None else found.message or found.detail
    if isinstance(error, dict):
        code, message = error.get("code"), str(error.get("message") or "")
        return f"{message} ({code})" if isinstance(code, str) and code and code not in message else message
    return error if isinstance(error, str) else "" if error is None else msgspec.json.encode(error).decode()
