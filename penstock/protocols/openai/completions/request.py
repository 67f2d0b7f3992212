"""OpenAI's completion request, with vLLM's fields beside it, as requests for generated text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from penstock.core.generation import Generation
from penstock.core.ranges import MAX_TOKENS
from penstock.protocols.generation.limits import MAX_CHOICES, Choices, TokenId, check_count
from penstock.protocols.openai.sampling import SAMPLING_FIELDS, SamplingFields, refuse, sampling_of
from penstock.protocols.openai.sse import StreamOptions
from penstock.protocols.openai.tools import ResponseFormat, format_of
from penstock.protocols.reading import read, wrong

DEFAULT_MAX_TOKENS = 16
"""As in OpenAI's API."""
MAX_PROMPTS = 128
FIELDS: Mapping[str, str] = {
    "prompt": "a text, a list of texts, a list of token ids, or a list of such lists (at most 128 prompts)",
    "model": "the name of a served model",
    **SAMPLING_FIELDS,
    "n": "how many answers to give to each prompt, 1 to 128",
    "max_tokens": "how many tokens an answer has at most, to 1000000 (16 without it); 0 only with echo",
    "logprobs": "how many of the likeliest tokens to show beside each, 0 to 5",
    "echo": "true to have the prompt before its answer; not together with logprobs",
    "response_format": '{"type": "text"}, {"type": "json_object"}, or {"type": "json_schema", "json_schema": {...}}',
    "stream_options": '{"include_usage": true} to have the usage in a last chunk; needs stream: true',
    "best_of": "the same number as n",
}
_SCHEMA = 'send response_format: {"type": "json_schema", "json_schema": {...}}'
NOT_OFFERED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "suffix": (("",), "the models here go on from a prompt, and do not fill a gap"),
    "guided_json": ((), _SCHEMA),
    "guided_regex": ((), _SCHEMA),
    "guided_choice": ((), f"{_SCHEMA} with an enum"),
    "guided_grammar": ((), _SCHEMA),
    "structured_outputs": ((), _SCHEMA),
    "use_beam_search": ((False,), "send n for several answers"),
    "truncate_prompt_tokens": ((), "prompts are not cut; send a shorter one"),
    "prompt_logprobs": ((), "log-probabilities of a prompt's own tokens are shown by no engine here"),
    "add_special_tokens": ((True,), "a text is read as the model was trained; send token ids to have none added"),
    "skip_special_tokens": ((True,), "control tokens are no part of an answer"),
    "include_stop_str_in_output": ((False,), "an answer ends before its stop text"),
}
Prompt = str | tuple[int, ...]


class CompletionRequest(SamplingFields, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/completions; see `FIELDS`, and `NOT_OFFERED` for the rest."""

    prompt: str | list[str | TokenId | list[TokenId]]
    model: str
    n: Choices | None = None
    max_tokens: Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    echo: bool | None = None
    response_format: ResponseFormat | None = None
    stream_options: StreamOptions | None = None
    best_of: int | None = None
    suffix: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None
    structured_outputs: Any = None
    use_beam_search: Any = None
    truncate_prompt_tokens: Any = None
    prompt_logprobs: Any = None
    add_special_tokens: Any = None
    skip_special_tokens: Any = None
    include_stop_str_in_output: Any = None


_decoder = msgspec.json.Decoder(CompletionRequest)


def read_completion(body: bytes | bytearray) -> tuple[CompletionRequest, list[Generation]]:
    """The message, and what it asks for, by prompt. Raises `BadInput` and `TooLarge`, naming the field."""
    message = read(_decoder, body, FIELDS)
    refuse(message, NOT_OFFERED)
    if message.stream_options is not None and not message.stream:
        raise wrong("stream_options", "stream_options needs stream: true")
    choices = message.n or 1
    if message.best_of not in (None, choices):
        raise wrong("best_of", f"best_of is {message.best_of}, but n is {choices}; send n alone for several answers")
    prompts = prompts_of(message.prompt)
    if len(prompts) * choices > MAX_CHOICES:
        raise wrong("n", f"{len(prompts)} prompts with n {choices} are over {MAX_CHOICES} answers; send fewer")
    return message, [generation_of(message, prompt, choices) for prompt in prompts]


def generation_of(message: CompletionRequest, prompt: Prompt, choices: int) -> Generation:
    """The request for one of the prompts. With echo and no tokens at all, the prompt is only read."""
    most = DEFAULT_MAX_TOKENS if message.max_tokens is None else message.max_tokens
    if most == 0 and not message.echo:
        raise wrong("max_tokens", "max_tokens is 0; it is at least 1 without echo")
    if most == 0 and (message.logprobs is not None or choices > 1):
        field = "n" if message.logprobs is None else "logprobs"
        raise wrong(field, f"{field} needs an answer; send max_tokens of at least 1")
    return Generation(
        prompt=prompt,
        sampling=sampling_of(message, most or None, message.logprobs),
        choices=choices,
        format=format_of(message.response_format),
        echo=bool(message.echo),
        count_only=most == 0,
    )


def prompts_of(given: str | list[Any]) -> list[Prompt]:
    """Every prompt: a text, or token ids. Raises `BadInput`."""
    items = [given] if isinstance(given, str) else given
    kinds = set(map(type, items))
    if len(kinds) > 1:
        raise wrong("prompt", "prompt mixes texts and token ids; send lists of one kind")
    if kinds == {int}:
        return [tuple(items)]  # type: ignore[arg-type]
    check_count("prompt", items, MAX_PROMPTS, least=1)
    for index, item in enumerate(items):
        if not item:
            where = "prompt" if isinstance(given, str) else f"prompt[{index}]"
            raise wrong("prompt", f"{where} is empty; send at least one character or token id")
    return [item if isinstance(item, str) else tuple(item) for item in items]
