"""Mistral's API: OpenAI's, with some words of its own."""

from __future__ import annotations

import hashlib
import re

from penstock.core.generation import Generation
from penstock.runtimes.remote import asking
from penstock.runtimes.remote.contract import RemoteModel
from penstock.runtimes.remote.openai import OpenAI
from penstock.runtimes.remote.openai_asking import Body, chat_of, sampling_of

_ID = re.compile(r"[A-Za-z0-9]{9}").fullmatch


class Mistral(OpenAI):
    """It refuses fields that it does not know, and tells what a stream took without being asked."""

    name = "mistral"
    public = "https://api.mistral.ai/v1"
    variables = ("MISTRAL_API_KEY",)
    offers = ("n", "seed", "presence_penalty", "frequency_penalty")
    longest = "max_tokens"

    def texts_at_once(self, model: RemoteModel) -> int:
        """Its bound is in tokens, 16,384 for one call; so many texts of usual length are under it."""
        return 32

    def _chat(self, generation: Generation) -> Body:
        body = chat_of(generation, generation.messages, call_id)
        if body.get("tool_choice") == "required":
            body["tool_choice"] = "any"
        return body

    def _completion(self, generation: Generation) -> Body:
        raise asking.not_offered("prompt", "mistral has chats only; send messages")

    def _sampling(self, generation: Generation) -> Body:
        body = sampling_of(generation, self.longest)
        if "seed" in body:
            body["random_seed"] = body.pop("seed")
        return body

    def _streamed(self) -> Body:
        return {"stream": True}

    def _numbers(self, model: RemoteModel) -> Body:
        return {"output_dimension": model.dimensions} if model.dimensions else {}


def call_id(id: str) -> str:
    """A call's id as Mistral takes it: nine letters and digits, the same for the same id."""
    return id if _ID(id) else hashlib.blake2b(id.encode(), digest_size=8).hexdigest()[:9]
