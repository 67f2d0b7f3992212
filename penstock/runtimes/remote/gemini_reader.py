"""Gemini's replies, streamed and whole, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Generated, Reason, Reasoning, Started, Stopped, Text, TokenLogprob, Usage
from penstock.runtimes.remote.calls import Calls
from penstock.runtimes.remote.failures import document, failed, malformed, refused
from penstock.runtimes.remote.gemini_turns import id_of
from penstock.runtimes.remote.reading import News, Reading, counted, filtered, odd_end

NAME = "Gemini"
_REASONS: dict[str, Reason] = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERS = {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"}
_LOWEST = -9999.0


class _FunctionCall(msgspec.Struct):
    name: str = ""
    args: dict[str, Any] | None = None


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str = ""
    function_call: _FunctionCall | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] = []


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Top(msgspec.Struct):
    candidates: list[_Token] = []


class _Logprobs(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] = []
    top_candidates: list[_Top] = []


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0
    logprobs_result: _Logprobs | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int = 0
    cached_content_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0
    tool_use_prompt_token_count: int = 0


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Detail(msgspec.Struct, rename="camel"):
    type: str = msgspec.field(default="", name="@type")
    reason: str = ""
    retry_delay: str = ""


class _Error(msgspec.Struct):
    code: int = 500
    message: str = ""
    status: str = ""
    details: list[_Detail] = []


class _Wire(msgspec.Struct, rename="camel"):
    """Any chunk of a stream, any whole answer, any count and any error: all of their fields that are read."""

    candidates: list[_Candidate] = []
    usage_metadata: _Usage | None = None
    prompt_feedback: _Feedback | None = None
    total_tokens: int | None = None
    error: _Error | None = None


_wire = msgspec.json.Decoder(_Wire)


class _Choice:
    """One candidate under way."""

    def __init__(self, index: int, one_call: bool):
        self.calls = Calls(index, one=one_call)
        self.reason: Reason | None = None


class GeminiReader(Reading):
    """One reply. A stream has no mark at its end: it is whole when every candidate has said why it stopped."""

    provider = NAME

    def __init__(self, *, choices: int = 1, one_call: bool = False) -> None:
        super().__init__()
        self._choices = [_Choice(index, one_call) for index in range(choices)]
        self._usage = Usage()

    def _read(self, message: bytes, event: str) -> Iterator[News]:
        wire = _wire.decode(message)
        if wire.error is not None:
            raise _error(wire.error.code, {}, wire.error)
        if wire.total_tokens is not None:
            yield from counted(NAME, wire.total_tokens)
            return
        if wire.prompt_feedback is not None and wire.prompt_feedback.block_reason:
            raise filtered(NAME, wire.prompt_feedback.block_reason)
        if wire.usage_metadata is not None:
            self._usage = _usage(wire.usage_metadata)
        if not self._opened:
            yield Started(self._usage.prompt_tokens, self._usage.cached_tokens)
        for candidate in wire.candidates:
            yield from self._candidate(candidate)

    def _rest(self) -> Iterator[News]:
        reasons = [choice.reason for choice in self._choices]
        if None in reasons:
            return
        for index, reason in enumerate(reasons):
            # All tokens are told together, so they count with the first choice.
            yield Stopped(index, reason or "stop", None, self._usage.completion_tokens if index == 0 else 0)
        yield Generated(self._usage)

    def _candidate(self, candidate: _Candidate) -> Iterator[Event]:
        if not 0 <= candidate.index < len(self._choices):
            raise malformed(NAME, "a candidate that was not asked for")
        choice, logprobs = self._choices[candidate.index], _logprobs(candidate.logprobs_result)
        for part in candidate.content.parts if candidate.content else ():
            if part.function_call is not None:
                args = msgspec.json.encode(part.function_call.args or {}).decode()
                yield from choice.calls.whole(id_of(part.thought_signature), part.function_call.name, args)
            elif part.text:
                yield _said(candidate.index, part, logprobs)
                logprobs = logprobs if part.thought else ()
        if candidate.finish_reason:
            choice.reason = _reason(candidate.finish_reason, choice.calls.told)


def _said(index: int, part: _Part, logprobs: tuple[TokenLogprob, ...]) -> Event:
    return Reasoning(index, part.text or "") if part.thought else Text(index, part.text or "", logprobs)


def _reason(told: str, calls: int) -> Reason:
    if told in _FILTERS or told.startswith("IMAGE_"):
        raise filtered(NAME, told)
    if told not in _REASONS:
        raise odd_end(NAME, told)
    return "tool_calls" if calls and told == "STOP" else _REASONS[told]


def _usage(told: _Usage) -> Usage:
    """Tokens as we count them: thoughts are a part of what was generated."""
    return Usage(
        prompt_tokens=told.prompt_token_count + told.tool_use_prompt_token_count,
        cached_tokens=told.cached_content_token_count,
        completion_tokens=told.candidates_token_count + told.thoughts_token_count,
        reasoning_tokens=told.thoughts_token_count,
    )


def _logprobs(told: _Logprobs | None) -> tuple[TokenLogprob, ...]:
    if told is None:
        return ()
    tops = [top.candidates for top in told.top_candidates]
    tops += [[]] * (len(told.chosen_candidates) - len(tops))
    return tuple(
        TokenLogprob(*_token(chosen), tuple(map(_token, top)))
        for chosen, top in zip(told.chosen_candidates, tops, strict=False)
    )


def _token(told: _Token) -> tuple[str, bytes, float]:
    return told.token, told.token.encode(errors="replace"), max(told.log_probability, _LOWEST)


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
    """The error of a reply that is none."""
    told = document(body)
    try:
        wire = msgspec.convert(told[0] if isinstance(told, list) and told else told, _Wire)
    except msgspec.ValidationError:
        wire = _Wire()
    return _error(status, headers, wire.error or _Error())


def _error(status: int, headers: Mapping[str, str], error: _Error) -> PenstockError:
    if any(detail.reason.startswith("API_KEY_") for detail in error.details):
        return refused(NAME, status)
    waits = [detail.retry_delay for detail in error.details if detail.retry_delay]
    return failed(NAME, status, headers, error.message, wait_s=_seconds(waits[0]) if waits else None)


def _seconds(told: str) -> float | None:
    try:
        return max(float(told.removesuffix("s")), 0.0)
    except ValueError:
        return None
