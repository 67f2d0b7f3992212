"""POST /tokenize and /detokenize, as vLLM has them: what a model makes of a text, and of token ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.core.generation import Generation
from penstock.core.language import GENERATION
from penstock.core.model import Catalog
from penstock.core.ranges import MAX_TOKENS
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import Answer, collect
from penstock.protocols.generation.ask import Asker
from penstock.protocols.generation.limits import TokenId, check_count
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.chat.turns import ChatMessage, turns_of
from penstock.protocols.openai.sampling import refuse
from penstock.protocols.openai.tools import ChatTool, chat_tools
from penstock.protocols.reading import read, wrong
from penstock.protocols.texts import named_or_only
from penstock.protocols.visible import visible

FIELDS: Mapping[str, str] = {
    "prompt": "a text (or send messages)",
    "messages": 'a list of messages such as {"role": "user", "content": "..."}',
    "tools": "a list of functions, as a chat has them",
    "model": "the name of a served model (needed when several generate text)",
}
DETOKENIZE_FIELDS: Mapping[str, str] = {
    "tokens": "a list of token ids",
    "model": "the name of a served model (needed when several generate text)",
}
_TEMPLATE = "the model's own template is used, because one from a request could harm"
NOT_OFFERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "add_special_tokens": ((True,), "a prompt is read as the model was trained"),
    "return_token_strs": ((False,), "send the ids to /detokenize"),
    "add_generation_prompt": ((True,), "the model always answers"),
    "continue_final_message": ((False,), "the model answers the last message"),
    "chat_template": ((), _TEMPLATE),
    "chat_template_kwargs": (({},), _TEMPLATE),
}


class TokenizeRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /tokenize; see `FIELDS`."""

    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    tools: list[ChatTool] | None = None
    model: str | None = None
    add_special_tokens: Any = None
    return_token_strs: Any = None
    add_generation_prompt: Any = None
    continue_final_message: Any = None
    chat_template: Any = None
    chat_template_kwargs: Any = None


class DetokenizeRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /detokenize; see `DETOKENIZE_FIELDS`."""

    tokens: list[TokenId]
    model: str | None = None


_tokenize = msgspec.json.Decoder(TokenizeRequest)
_detokenize = msgspec.json.Decoder(DetokenizeRequest)


class Tokens:
    """Asks the model; nothing is generated."""

    def __init__(self, asker: Asker, models: Catalog):
        self._asker = asker
        self._models = models

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/tokenize", self.tokenize, "infer")
        routes.add("POST", "/detokenize", self.detokenize, "infer")

    async def tokenize(self, http: HttpRequest) -> HttpResponse:
        """POST /tokenize"""
        heavy = len(http.body) > HEAVY
        model, generation = await aside(read_tokenize, http.body) if heavy else read_tokenize(http.body)
        answer = await self._counted(http, model, generation)
        length = self._asker.find(http, self._named(http, model)).view.signature
        found = {
            "count": answer.started.prompt_tokens,
            "max_model_len": None if length is None else length.max_tokens,
            "tokens": answer.started.tokens,
            "token_strs": None,
        }
        return HttpResponse(200, msgspec.json.encode(found))

    async def detokenize(self, http: HttpRequest) -> HttpResponse:
        """POST /detokenize"""
        heavy = len(http.body) > HEAVY
        model, generation = await aside(read_detokenize, http.body) if heavy else read_detokenize(http.body)
        answer = await self._counted(http, model, generation)
        return HttpResponse(200, msgspec.json.encode({"prompt": "".join(choice.text for choice in answer.choices)}))

    async def _counted(self, http: HttpRequest, model: str | None, generation: Generation) -> Answer:
        return await collect(await self._asker.ask(http, self._named(http, model), generation))

    def _named(self, http: HttpRequest, model: str | None) -> str:
        return named_or_only(visible(self._models, http.principal), model, GENERATION)


def read_tokenize(body: bytes | bytearray) -> tuple[str | None, Generation]:
    """The model's name and what to count. Raises `BadInput` and `TooLarge`, naming the field."""
    message = read(_tokenize, body, FIELDS)
    refuse(message, NOT_OFFERED)
    if (message.prompt is None) == (message.messages is None):
        raise wrong("prompt", "send either prompt or messages")
    if message.messages is None:
        return message.model, Generation(prompt=message.prompt, count_only=True)
    turns, tools = turns_of(message.messages), chat_tools(message.tools)
    return message.model, Generation(messages=turns, tools=tools, count_only=True)


def read_detokenize(body: bytes | bytearray) -> tuple[str | None, Generation]:
    """The model's name and the ids to read. Raises `BadInput` and `TooLarge`, naming the field."""
    message = read(_detokenize, body, DETOKENIZE_FIELDS)
    check_count("tokens", message.tokens, MAX_TOKENS, least=1)
    return message.model, Generation(prompt=tuple(message.tokens), count_only=True, echo=True)
