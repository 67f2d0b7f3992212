"""From a request to what its chat template is given, and on to the prompt's token ids."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from penstock.core.generation import Call, Generation, Message, Tool
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.checks import refuse, too_long
from penstock.runtimes.generation.contract import Tokenizer
from penstock.runtimes.generation.detokenizer import adds_space, whole
from penstock.runtimes.generation.marks.choice import thinks, tool_format

_READ_AT_ONCE = 2**18
"""Characters that are turned into tokens without a look at how many these will be."""
_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")
SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates let one choose whether the model thinks."""


class Prompt(NamedTuple):
    """What sequences begin with. `tokens`: ids; `text`: as it was given or rendered."""

    tokens: list[int]
    text: str


class Prompts:
    """Makes prompts for one model: what its template is given, and the token ids of the text that comes of it."""

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer):
        self._model = model
        self._tokenizer = tokenizer
        self._strip = adds_space(tokenizer)
        self._tool_format = tool_format(model)
        self._thinks = thinks(model)
        self._short_ids = self._tool_format == "mistral"
        words = set(re.findall(r"\w+", model.chat_template))
        self._switches = [name for name in SWITCHES if name in words]
        self._takes_tools = "tools" in words

    def check(self, generation: Generation) -> None:
        """Raises `BadInput` for what the model's template has no place for."""
        if generation.think is not None:
            self._check_think(generation.think)
        if not generation.messages:
            if generation.tools:
                refuse("tools are for conversations: a plain prompt has no place for them", "tools")
            return
        if not self._model.chat_template:
            refuse("this model has no chat template, so it takes no messages: use /v1/completions", "messages")
        if offered(generation) and not self._takes_tools:
            refuse("this model's chat template has no place for tools", "tools")
        if offered(generation) and self._tool_format is None:
            text = "how this model writes tool calls is not known; its setting `tool_format` can say hermes, llama3 or "
            refuse(f"{text}mistral", "tools")

    def _check_think(self, think: bool) -> None:
        if think and not self._thinks:
            refuse("this model does not think before it answers", "think")
        if not think and self._thinks and not self._switches:
            refuse("this model always thinks before it answers: its chat template has no switch for it", "think")

    def variables(self, generation: Generation) -> dict[str, Any]:
        """What the template is given besides messages and tools."""
        switches = {} if generation.think is None else dict.fromkeys(self._switches, generation.think)
        return {"add_generation_prompt": True, **switches}

    def messages(self, generation: Generation) -> list[dict[str, Any]]:
        """The conversation as templates know it."""
        return [self._message(message) for message in generation.messages]

    def _message(self, message: Message) -> dict[str, Any]:
        told: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.calls:
            told["tool_calls"] = [self._call(call) for call in message.calls]
        if message.call_id:
            told["tool_call_id"] = self._id(message.call_id)
        if message.name:
            told["name"] = message.name
        if message.reasoning:
            told["reasoning_content"] = message.reasoning
        return told

    def _call(self, call: Call) -> dict[str, Any]:
        function = {"name": call.name, "arguments": _parsed(call.arguments)}
        return {"id": self._id(call.id), "type": "function", "function": function}

    def _id(self, id: str) -> str:
        """Mistral's templates insist on nine letters and digits."""
        if not self._short_ids or _SHORT_ID.fullmatch(id):
            return id
        return hashlib.sha256(id.encode()).hexdigest()[:9]

    def tools(self, generation: Generation) -> list[dict[str, Any]] | None:
        """The tools as templates know them; None where there are none to call."""
        return [_function(tool) for tool in offered(generation)] or None

    def prompt(self, generation: Generation, written: str | Sequence[int]) -> Prompt:
        """The prompt of a text, or of token ids (whose text is only made where it is asked for)."""
        if isinstance(written, str):
            return Prompt(self.encode(written, param="messages" if generation.messages else "prompt"), written)
        text = whole(self._tokenizer.pieces(), written, strip=self._strip) if generation.echo else ""
        return Prompt(list(written), text)

    def encode(self, text: str, *, param: str = "prompt") -> list[int]:
        """Token ids of a text, with the one that begins every text where the model has one.

        Raises `ContextExceeded` for a text that is so long that reading all of it would hold up everyone else.
        """
        beginning = max(_READ_AT_ONCE, 32 * self._model.context)
        if len(text) > beginning:
            count = len(self._tokenizer.encode(text[:beginning]))
            if count > 2 * self._model.context:
                raise too_long(f"the prompt has more than {count} tokens", self._model.context, param)
        tokens = self._tokenizer.encode(text)
        bos = self._model.bos
        if self._model.add_bos and bos is not None and tokens[:1] != [bos]:
            tokens = [bos, *tokens]
        return tokens


def offered(generation: Generation) -> Sequence[Tool]:
    """The tools that the model may call."""
    return () if generation.tool_choice == "none" else generation.tools


def _function(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _parsed(arguments: str) -> Any:
    """Templates write arguments as JSON themselves, so they take an object."""
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments
