"""Answers of OpenAI's API as events, whole ones and streams alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Generated, Generation, Reason, Reasoning, Started, Stopped, Text, Usage
from penstock.runtimes.remote.calls import BrokenCall, Calls
from penstock.runtimes.remote.estimate import prompt_tokens, tokens_of
from penstock.runtimes.remote.failures import cut, failed, malformed
from penstock.runtimes.remote.openai_logprobs import logprobs_of
from penstock.runtimes.remote.openai_wire import Choice, Chunk, Content, Said, Tokens, ToolCall, decode_chunk
from penstock.runtimes.remote.reading import News, Reading, filtered, odd_end

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
"""Why answers end, by the words of those who speak OpenAI's API."""
DONE = b"[DONE]"


class OpenAIReader(Reading):
    """One reply."""

    def __init__(self, provider: str, asked: Generation):
        super().__init__()
        self.provider = provider
        self._asked = asked
        self._choices: dict[int, ChoiceReader] = {}
        self._usage: Tokens | None = None
        self._began = False

    def feed(self, message: bytes, event: str = "") -> Sequence[News]:
        """What one message says. Nearly all are a piece of one answer's text, or a whole answer of nothing else, and
        these take a short way."""
        if not message:
            return ()
        if self._done or message == DONE:
            return super().feed(message, event)
        try:
            chunk = decode_chunk(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return super().feed(message, event)
        if not self._began:
            return self._whole(chunk) or self._taken(self._news(chunk))
        text = plain_text(chunk)
        reader = self._choices.get(chunk.choices[0].index) if text else None
        if reader is None or reader.ended:
            return self._taken(self._news(chunk))
        reader.told += len(text)
        return (Text(chunk.choices[0].index, text),)

    def _whole(self, chunk: Chunk) -> Sequence[News]:
        """All of an answer that is one text; nothing for any other message."""
        if chunk.usage is None or chunk.error is not None or self._asked.choices != 1 or len(chunk.choices) != 1:
            return ()
        choice = chunk.choices[0]
        text, reason = plain_answer(choice), REASONS.get(choice.finish_reason or "")
        if not text or reason not in ("stop", "length") or chunk.object == "error":
            return ()
        self._began = self._opened = self._done = True
        usage = usage_of(chunk.usage)
        started = Started(usage.prompt_tokens, usage.cached_tokens)
        stopped = Stopped(choice.index, reason, tokens=max(0, usage.completion_tokens))
        return (started, Text(choice.index, text), stopped, Generated(usage))

    def _read(self, message: bytes, event: str) -> Iterator[News]:
        if message == DONE:
            yield from self._rest()
            return
        yield from self._news(decode_chunk(message))

    def _news(self, chunk: Chunk) -> Iterator[News]:
        if chunk.error is not None or (chunk.object == "error" and chunk.message):
            raise in_band(self.provider, chunk.error or chunk.message)
        if chunk.usage is not None:
            self._usage = chunk.usage
        if not self._began:
            self._began = True
            yield self._started()
        for choice in chunk.choices:
            reader = self._choices.get(choice.index)
            if reader is None:
                if not 0 <= choice.index < self._asked.choices:
                    raise malformed(self.provider, "an answer that was not asked for")
                one = not self._asked.parallel_calls
                reader = self._choices[choice.index] = ChoiceReader(choice.index, self.provider, one)
            yield from reader.read(choice)

    def _started(self) -> Started:
        """The prompt's tokens are known at the end; until then by estimate."""
        if self._usage is None:
            return Started(prompt_tokens(self._asked))
        usage = usage_of(self._usage)
        return Started(usage.prompt_tokens, usage.cached_tokens)

    def _rest(self) -> Iterator[News]:
        """The proper end is one where every answer has said why it ends."""
        readers = [self._choices[index] for index in sorted(self._choices)]
        if len(readers) < self._asked.choices or not all(reader.ended for reader in readers):
            yield cut(self.provider)
            return
        usage = self._total()
        left = max(0, usage.completion_tokens - sum(reader.tokens for reader in readers))
        for place, reader in enumerate(readers, 1):
            yield Stopped(reader.index, reader.reason, tokens=left if place == len(readers) else 0)
        yield Generated(usage)

    def _total(self) -> Usage:
        if self._usage is not None:
            return usage_of(self._usage)
        told = sum(reader.told for reader in self._choices.values())
        return Usage(prompt_tokens(self._asked), 0, tokens_of(told))


class ChoiceReader:
    """One of the answers. `told`: characters of it so far, `tokens`: of these known as tokens; `ended`: it has said why
    it ends, its `reason`."""

    __slots__ = ("_begun", "_calls", "_keys", "_last", "_provider", "ended", "index", "reason", "tokens", "told")

    def __init__(self, index: int, provider: str, one_call: bool):
        self.index = index
        self._provider = provider
        self._calls = Calls(index, one=one_call)
        self._keys: dict[int, tuple[int, str]] = {}
        self._last = (0, "")
        self._begun = 0
        self.told = self.tokens = 0
        self.ended = False
        self.reason: Reason = "stop"

    def read(self, choice: Choice) -> Iterator[News]:
        """What is new, or the whole."""
        if self.ended:
            return
        said = choice.delta or choice.message
        if said is not None:
            yield from self._said(said, choice)
        elif choice.text:
            yield self._text(choice.text, choice)
        if choice.finish_reason:
            yield from self._ended(choice.finish_reason)

    def _said(self, said: Said, choice: Choice) -> Iterator[News]:
        thought = said.reasoning_content or said.reasoning
        if thought:
            yield self._thought(thought)
        if said.content:
            yield from self._content(said.content, choice)
        if said.refusal:
            yield self._text(said.refusal, choice)
        for place, call in enumerate(said.tool_calls or ()):
            yield from self._call(call, place)

    def _content(self, content: Content, choice: Choice) -> Iterator[News]:
        if isinstance(content, str):
            yield self._text(content, choice)
            return
        for part in content or ():
            if part.text:
                yield self._text(part.text, choice)
            if part.thinking:
                yield self._thought(thought_of(part.thinking))

    def _text(self, text: str, choice: Choice) -> Text:
        self.told += len(text)
        if choice.logprobs is None:
            return Text(self.index, text)
        logprobs = logprobs_of(choice.logprobs)
        self.tokens += len(logprobs)
        return Text(self.index, text, logprobs, len(logprobs))

    def _thought(self, text: str) -> Reasoning:
        self.told += len(text)
        return Reasoning(self.index, text)

    def _call(self, call: ToolCall, place: int) -> Iterator[News]:
        """Pieces of a call share its number; a new id under an old number is a new call, as some servers have it."""
        number, function = place if call.index is None else call.index, call.function
        key = self._keys.get(number)
        if function.name and (key is None or call.id not in (None, "", key[1])):
            yield from self._calls.finish(self._last)
            self._begun += 1
            self._last = key = self._keys[number] = (self._begun, call.id or "")
            self._calls.begin(key, key[1], function.name)
        if key is None:
            raise BrokenCall
        if function.arguments:
            text = function.arguments if isinstance(function.arguments, str) else _json(function.arguments)
            self.told += len(text)
            self._calls.more(key, text)

    def _ended(self, word: str) -> Iterator[News]:
        reason = REASONS.get(word)
        if reason is None:
            raise self._odd(word)
        yield from self._calls.end(cut=reason == "length")
        # A call of a named tool ends with "stop".
        if reason != "length":
            reason = "tool_calls" if self._calls.told else "stop"
        self.ended, self.reason = True, reason

    def _odd(self, word: str) -> PenstockError:
        return filtered(self._provider, word) if word == "content_filter" else odd_end(self._provider, word)


def plain_text(chunk: Chunk) -> str:
    """The text of a message that holds nothing else; "" for any other."""
    if chunk.error is not None or chunk.usage is not None or len(chunk.choices) != 1:
        return ""
    choice = chunk.choices[0]
    return "" if choice.finish_reason or choice.logprobs is not None else plain(choice.delta)


def plain_answer(choice: Choice) -> str:
    """The same of an answer that is whole."""
    odd = choice.index != 0 or choice.delta is not None or choice.logprobs is not None
    return "" if odd else plain(choice.message)


def plain(said: Said | None) -> str:
    """The text of what was said, where that is all."""
    if said is None or type(said.content) is not str:
        return ""
    other = said.tool_calls or said.refusal or said.reasoning_content or said.reasoning
    return "" if other else said.content


def usage_of(tokens: Tokens) -> Usage:
    """What an answer took."""
    prompt, answer = tokens.prompt_tokens_details, tokens.completion_tokens_details
    cached = tokens.prompt_cache_hit_tokens if prompt is None else prompt.cached_tokens
    accepted = 0 if answer is None else answer.accepted_prediction_tokens or 0
    return Usage(
        tokens.prompt_tokens,
        cached or 0,
        tokens.completion_tokens or 0,
        0 if answer is None else answer.reasoning_tokens or 0,
        accepted + (0 if answer is None else answer.rejected_prediction_tokens or 0),
        accepted,
    )


def in_band(provider: str, error: Any) -> PenstockError:
    """The error of a stream that goes wrong in the middle."""
    found = error if isinstance(error, dict) else {"message": error}
    code = found.get("code", found.get("status"))
    words = str(found.get("message") or found.get("type") or "")
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return failed(provider, status, {}, words)


def thought_of(thinking: str | list[dict[str, Any]]) -> str:
    """The text of a part that is a thought."""
    if isinstance(thinking, str):
        return thinking
    return "".join(str(part.get("text", "")) for part in thinking)


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
