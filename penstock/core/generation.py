"""Generated text: what is asked for, the events of an answer, and how it ends.

Whatever the protocol and whatever the engine, a reply of generated text is one stream of these events, and ends
exactly once: with `Generated`, or with an error of the tree. A streamed answer and a whole one are made of the
same events, so they cannot differ.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant", "tool"]
Reason = Literal["stop", "length", "tool_calls"]


class Call(msgspec.Struct, array_like=True, frozen=True):
    """A tool call that a model made. `arguments`: a JSON object, as text."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, array_like=True, frozen=True):
    """One turn of a conversation. `calls`: an assistant's; `call_id`, `name`: whose result a tool's turn is."""

    role: Role
    content: str = ""
    calls: tuple[Call, ...] = ()
    call_id: str = ""
    name: str = ""
    reasoning: str = ""


class Tool(msgspec.Struct, array_like=True, frozen=True):
    """A function that the model may call. `parameters`: JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool = False


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How tokens are chosen. What a request does not say is None, and the model's own default holds.

    `max_tokens`: None means as many as the context has room for. `temperature` 0 is greedy. `top_k` 0 keeps all.
    `logprobs`: None for none, else how many alternatives to show beside each token's own (0: none). `min_tokens`:
    no end before so many. `ignore_eos`: goes on to `max_tokens` whatever the model says. `logit_bias`: added, by
    token id.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    logit_bias: dict[int, float] = {}


class Generation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request for generated text: `messages`, or a plain `prompt` (a text, or token ids).

    `choices`: independent answers. `tool_choice`: "auto", "none", "required", or "=NAME" for that very tool.
    `format`: None for free text, {} for any JSON object, else the JSON Schema that the answer follows. `adapter`: a
    LoRA adapter of the model, by name. `echo`: a plain prompt's text goes before its answer. `think`: whether to reason
    first, where the model can choose.
    `count_only`: only counts the prompt's tokens (and gives them, `Started.tokens`); nothing is generated. With `echo`,
    one `Text` of choice 0 follows, the prompt's own text, before `Generated`: so token ids become text.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | tuple[int, ...] | None = None
    sampling: Sampling = Sampling()
    choices: int = 1
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool = True
    format: dict[str, Any] | None = None
    adapter: str = ""
    echo: bool = False
    think: bool | None = None
    count_only: bool = False


class TokenLogprob(msgspec.Struct, array_like=True, frozen=True):
    """A token of an answer and its log-probability (never below -9999). `top`: the likeliest alternatives."""

    token: str
    raw: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


# --- events, in the order in which they may come: one Started; then for each choice its deltas and one Stopped.
# `tokens`: how many of the choice's generated tokens an event stands for (0 where that is not known); all events of a
# reply together stand for `Usage.completion_tokens`.


class Started(msgspec.Struct, tag="s", array_like=True, frozen=True):
    """The prompt was read. `cached_tokens`: of these, known before. `tokens`: their ids, where asked for."""

    prompt_tokens: int
    cached_tokens: int = 0
    tokens: tuple[int, ...] = ()


class Text(msgspec.Struct, tag="t", array_like=True, frozen=True):
    """More of an answer: whole characters. `logprobs`: of the tokens that it came from, where asked for."""

    choice: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 0


class Reasoning(msgspec.Struct, tag="r", array_like=True, frozen=True):
    """More of what the model thinks before it answers."""

    choice: int
    text: str
    tokens: int = 0


class CallStarted(msgspec.Struct, tag="c", array_like=True, frozen=True):
    """The model calls a tool; all its arguments follow. `call`: 0 for the first of the choice. One that the length cut
    short is not told at all; the reason of the end says so."""

    choice: int
    call: int
    id: str
    name: str
    tokens: int = 0


class CallArguments(msgspec.Struct, tag="a", array_like=True, frozen=True):
    """More of a call's arguments (JSON text)."""

    choice: int
    call: int
    text: str
    tokens: int = 0


class Stopped(msgspec.Struct, tag="e", array_like=True, frozen=True):
    """The end of one choice. `stop`: the stop string that was met."""

    choice: int
    reason: Reason
    stop: str | None = None
    tokens: int = 0


Event = Started | Text | Reasoning | CallStarted | CallArguments | Stopped


class Usage(msgspec.Struct, array_like=True, frozen=True):
    """What an answer took, all choices together. `accepted_tokens` of `draft_tokens` guessed ones were right."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0


class Generated(msgspec.Struct, tag="g", array_like=True, frozen=True):
    """The end of a reply that went well."""

    usage: Usage


class EngineStats(msgspec.Struct, array_like=True, frozen=True):
    """An engine's present: sequences in a batch and waiting for a place, share of the key-value cache in use (0 to 1),
    and totals since start: prompt tokens looked up in and found in the prefix cache, times that a sequence lost its
    place and was computed again."""

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    prefix_queries: int = 0
    prefix_hits: int = 0
    preemptions: int = 0
