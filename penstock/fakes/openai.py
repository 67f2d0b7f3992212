"""A fake of OpenAI's API, and of those who speak it: chats, completions, embeddings."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.fakes.calls import Answer, Call, json_answer, sse_answer
from penstock.fakes.plans import GOOD, Plan
from penstock.fakes.server import FakeServer
from penstock.fakes.speech import Said, vector

SIZE = 8
"""Numbers of an embedding."""
KINDS = {400: "invalid_request_error", 401: "invalid_request_error", 429: "requests", 404: "invalid_request_error"}


class FakeOpenAI(FakeServer):
    """`said`: what its models say. `key`: the only key that it accepts ("" for any). `thoughts`: the field that holds
    reasoning. `size`: numbers of an embedding. `usage`: whether it tells what a stream took when asked."""

    prefix = "/v1"

    def __init__(self, port: int = 0, *, plan: Plan = GOOD, said: Said | None = None, key: str = ""):
        super().__init__(port, plan=plan)
        self.said = said or Said()
        self.key = key
        self.thoughts = "reasoning_content"
        self.size = SIZE
        self.usage = True

    def answer(self, call: Call) -> Answer:
        """By its path."""
        given = call.headers.get("authorization", "").removeprefix("Bearer ") or call.headers.get("api-key", "")
        if self.key and given != self.key:
            return self.error(401, f"Incorrect API key provided: {given}. You can find your API key at ...")
        path = call.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            return self._chat(call.json)
        if path.endswith("/completions"):
            return self._completion(call.json)
        if path.endswith("/embeddings"):
            return self._embeddings(call.json)
        return self.error(404, f"Invalid URL ({call.method} {path})")

    def error(self, status: int, words: str, code: str | None = None) -> Answer:
        """An error as OpenAI writes it."""
        kind = KINDS.get(status, "server_error")
        body = {"error": {"message": words, "type": kind, "param": None, "code": code}}
        return json_answer(body, status)

    # --- chats

    def _chat(self, asked: Any) -> Answer:
        last = asked["messages"][-1].get("content") or ""
        if not asked.get("stream"):
            choices = [self._whole(index, last) for index in range(asked.get("n") or 1)]
            return json_answer({**_head(asked, "chat.completion"), "choices": choices, "usage": self._usage(asked)})
        head = _head(asked, "chat.completion.chunk")
        chunks: list[dict[str, Any]] = []
        for index in range(asked.get("n") or 1):
            for delta, finish in self._deltas(last):
                shown = self._logprobs(delta) if asked.get("logprobs") else None
                choice = {"index": index, "delta": delta, "logprobs": shown, "finish_reason": finish}
                chunks.append({**head, "choices": [choice]})
        return sse_answer([*map(_event, (*chunks, *self._counted(head, asked))), b"data: [DONE]\n\n"])

    def _deltas(self, asked: str) -> Iterator[tuple[dict[str, Any], str | None]]:
        yield {"role": "assistant", "content": ""}, None
        for thought in self.said.thoughts():
            yield {self.thoughts: thought}, None
        if not self.said.calls:
            for word in self.said.words(asked):
                yield {"content": word}, None
        for index, (name, arguments) in enumerate(self.said.calls):
            function = {"name": name, "arguments": ""}
            yield (
                {"tool_calls": [{"index": index, "id": f"call_{index}", "type": "function", "function": function}]},
                None,
            )
            for at in range(0, len(arguments), 8):
                piece = {"arguments": arguments[at : at + 8]}
                yield {"tool_calls": [{"index": index, "function": piece}]}, None
        yield {}, self._finish()

    def _whole(self, index: int, asked: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        if self.said.reasoning:
            message[self.thoughts] = self.said.reasoning
        if self.said.calls:
            message["tool_calls"] = [
                {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
                for place, (name, arguments) in enumerate(self.said.calls)
            ]
        else:
            message["content"] = "".join(self.said.words(asked))
        return {"index": index, "message": message, "finish_reason": self._finish()}

    def _finish(self) -> str:
        return self.said.finish or ("tool_calls" if self.said.calls else "stop")

    def _logprobs(self, delta: dict[str, Any]) -> dict[str, Any] | None:
        text = delta.get("content")
        if not text:
            return None
        token = {"token": text, "logprob": -0.5, "bytes": list(text.encode())}
        return {"content": [{**token, "top_logprobs": [token]}]}

    def _counted(self, head: dict[str, Any], asked: Any) -> list[dict[str, Any]]:
        wanted = (asked.get("stream_options") or {}).get("include_usage")
        return [{**head, "choices": [], "usage": self._usage(asked)}] if wanted and self.usage else []

    def _usage(self, asked: Any) -> dict[str, Any]:
        """Tokens are words."""
        texts = [message.get("content") or "" for message in asked.get("messages", ())] or [str(asked.get("prompt"))]
        prompt, last = sum(len(text.split()) for text in texts), texts[-1]
        answer = len(self.said.words(last)) + len(self.said.thoughts())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": answer,
            "total_tokens": prompt + answer,
            "prompt_tokens_details": {"cached_tokens": self.said.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": len(self.said.thoughts())},
        }

    # --- completions and embeddings

    def _completion(self, asked: Any) -> Answer:
        head = _head(asked, "text_completion")
        words = self.said.words(str(asked["prompt"]))
        if not asked.get("stream"):
            choice = {"index": 0, "text": "".join(words), "finish_reason": self._finish()}
            return json_answer({**head, "choices": [choice], "usage": self._usage(asked)})
        chunks = [{**head, "choices": [{"index": 0, "text": word, "finish_reason": None}]} for word in words]
        chunks.append({**head, "choices": [{"index": 0, "text": "", "finish_reason": self._finish()}]})
        return sse_answer([*map(_event, (*chunks, *self._counted(head, asked))), b"data: [DONE]\n\n"])

    def _embeddings(self, asked: Any) -> Answer:
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        size = asked.get("dimensions") or self.size
        data = [
            {"object": "embedding", "index": index, "embedding": self._vector(text, size, asked)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_answer({"object": "list", "data": data, "model": asked["model"], "usage": usage})

    def _vector(self, text: str, size: int, asked: Any) -> Any:
        numbers = vector(text, size)
        if asked.get("encoding_format") != "base64":
            return numbers
        return struct.pack(f"<{size}f", *numbers)


def _head(asked: Any, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": 1_700_000_000, "model": asked.get("model", "")}


def _event(value: Any) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)
