"""OpenAI's chat request, with vLLM's fields beside it, as a request for generated text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.core.generation import Generation
from penstock.core.ranges import MaxTokens
from penstock.protocols.generation.limits import Choices
from penstock.protocols.openai import dialogue
from penstock.protocols.openai.chat.turns import ChatMessage, turns_of
from penstock.protocols.openai.dialogue import DIALOGUE_FIELDS, DialogueFields, Effort, thinks
from penstock.protocols.openai.sampling import refuse, sampling_of
from penstock.protocols.openai.sse import StreamOptions
from penstock.protocols.openai.tools import ChatTool, ResponseFormat, chat_tools, choice_of, format_of
from penstock.protocols.reading import read, wrong

FIELDS: Mapping[str, str] = {
    "messages": 'a list of messages such as {"role": "user", "content": "..."}',
    "model": "the name of a served model",
    **DIALOGUE_FIELDS,
    "n": "how many answers to give, 1 to 128",
    "max_completion_tokens": "how many tokens an answer has at most, 1 to 1000000; without, what the context holds",
    "max_tokens": "the older name of max_completion_tokens",
    "logprobs": "true to have the log-probability of each token",
    "top_logprobs": "how many of the likeliest tokens to show beside each, 0 to 20; needs logprobs: true",
    "response_format": '{"type": "text"}, {"type": "json_object"}, or {"type": "json_schema", "json_schema": {...}}',
    "tools": 'a list of functions: {"type": "function", "function": {"name": ..., "parameters": JSON Schema}}',
    "tool_choice": '"auto", "none", "required", or {"type": "function", "function": {"name": "..."}}',
    "reasoning_effort": '"none" to answer at once; "minimal", "low", "medium", "high", "xhigh", "max" to reason first',
    "stream_options": '{"include_usage": true} to have the usage in a last chunk; needs stream: true',
    "metadata": "an object of texts; it is not kept",
}
_TEMPLATE = "the model's own template is used, because one from a request could harm"
_SCHEMA = 'send response_format: {"type": "json_schema", "json_schema": {...}}'
NOT_OFFERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    **dialogue.NOT_OFFERED,
    "functions": ((), "send tools"),
    "function_call": ((), "send tool_choice"),
    "modalities": ((["text"],), "answers are text"),
    "audio": ((), "answers are text"),
    "prediction": ((), "guessing ahead is a setting of the model here (speculative)"),
    "web_search_options": ((), "nothing is fetched from the web"),
    "verbosity": (("medium",), "the models here have no such setting; say in a message how long the answer shall be"),
    "chat_template": ((), _TEMPLATE),
    "chat_template_kwargs": (({},), f'{_TEMPLATE}; to answer without reasoning send reasoning_effort: "none"'),
    "add_generation_prompt": ((True,), "the model always answers"),
    "continue_final_message": ((False,), "the model answers the last message; use /v1/completions to continue a text"),
    "guided_json": ((), _SCHEMA),
    "guided_regex": ((), _SCHEMA),
    "guided_choice": ((), f"{_SCHEMA} with an enum"),
    "guided_grammar": ((), _SCHEMA),
    "structured_outputs": ((), _SCHEMA),
    "use_beam_search": ((False,), "send n for several answers"),
    "best_of": ((1,), "send n for several answers"),
    "truncate_prompt_tokens": ((), "prompts are not cut; send fewer messages"),
    "prompt_logprobs": ((), "log-probabilities of a prompt's own tokens are shown by no engine here"),
    "skip_special_tokens": ((True,), "control tokens are no part of an answer"),
    "include_stop_str_in_output": ((False,), "an answer ends before its stop text"),
    "echo": ((False,), "use /v1/completions with echo"),
}


class ChatRequest(DialogueFields, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/chat/completions; see `FIELDS`, and `NOT_OFFERED` for the rest."""

    messages: list[ChatMessage]
    model: str
    n: Choices | None = None
    max_completion_tokens: MaxTokens | None = None
    max_tokens: MaxTokens | None = None
    logprobs: bool | None = None
    response_format: ResponseFormat | None = None
    tools: list[ChatTool] | None = None
    reasoning_effort: Effort | None = None
    stream_options: StreamOptions | None = None
    functions: Any = None
    function_call: Any = None
    modalities: Any = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None
    verbosity: Any = None
    chat_template: Any = None
    chat_template_kwargs: Any = None
    add_generation_prompt: Any = None
    continue_final_message: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None
    use_beam_search: Any = None
    best_of: Any = None
    truncate_prompt_tokens: Any = None
    prompt_logprobs: Any = None
    skip_special_tokens: Any = None
    include_stop_str_in_output: Any = None
    echo: Any = None


_decoder = msgspec.json.Decoder(ChatRequest)


def read_chat(body: bytes | bytearray) -> tuple[ChatRequest, Generation]:
    """The message, and what it asks for. Raises `BadInput` and `TooLarge`, naming the field."""
    message = read(_decoder, body, FIELDS)
    refuse(message, NOT_OFFERED)
    if message.stream_options is not None and not message.stream:
        raise wrong("stream_options", "stream_options needs stream: true")
    choice, tools = choice_of(message.tool_choice, chat_tools(message.tools))
    return message, Generation(
        messages=turns_of(message.messages),
        sampling=sampling_of(message, max_tokens_of(message), logprobs_of(message)),
        choices=message.n or 1,
        tools=tools,
        tool_choice=choice,
        parallel_calls=message.parallel_tool_calls is not False,
        format=format_of(message.response_format),
        think=thinks(message.reasoning_effort),
    )


def max_tokens_of(message: ChatRequest) -> int | None:
    """Two names for one setting; they may not contradict each other."""
    new, old = message.max_completion_tokens, message.max_tokens
    if None not in (new, old) and new != old:
        says = f"max_tokens is {old}, but max_completion_tokens is {new}; send max_completion_tokens alone"
        raise wrong("max_tokens", says)
    return old if new is None else new


def logprobs_of(message: ChatRequest) -> int | None:
    """How many alternatives to show beside each token; None for no log-probabilities at all."""
    if message.logprobs:
        return message.top_logprobs or 0
    if message.top_logprobs:
        raise wrong("top_logprobs", "top_logprobs needs logprobs: true")
    return None
