"""A fake of Cohere's API, version 2: chats, streamed and whole, and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.fakes.calls import Answer, Call, json_answer, sse_answer
from penstock.fakes.plans import GOOD, Plan
from penstock.fakes.server import FakeServer
from penstock.fakes.speech import Said, vector, words_in

SIZE = 8
FRAME = 60
"""Tokens that the model reads around a prompt, and that are not on the bill."""
Event = dict[str, Any]


class FakeCohere(FakeServer):
    """`said`: what its models say; thoughts before calls are their plan. `key`: the only key that it accepts ("" for
    any)."""

    prefix = "/v2"

    def __init__(self, port: int = 0, *, plan: Plan = GOOD, said: Said | None = None, key: str = ""):
        super().__init__(port, plan=plan)
        self.said = said or Said()
        self.key = key

    def answer(self, call: Call) -> Answer:
        """By its path."""
        given = call.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key and given != self.key:
            return self.error(401, f"invalid api token: {given}")
        if call.path == "/v2/embed":
            return self._embed(call.json)
        if call.path != "/v2/chat":
            return self.error(404, "404 page not found")
        return self._chat(call.json)

    def error(self, status: int, words: str) -> Answer:
        """An error as Cohere writes it."""
        return json_answer({"id": "error-0", "message": words}, status)

    def _chat(self, asked: Any) -> Answer:
        if not asked.get("messages"):
            return self.error(400, "invalid request: messages must be at least 1 message")
        events = list(self._events(asked))
        if asked.get("stream"):
            return sse_answer([*map(_sse, events), b"data: [DONE]\n\n"])
        return json_answer(self._whole(events))

    def _events(self, asked: Any) -> Iterator[Event]:
        start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield {"type": "message-start", "id": "chat-0", "delta": {"message": start}}
        if self.said.calls:
            yield from self._calling()
        else:
            yield from _block(0, "thinking", self.said.thoughts())
            yield from _block(bool(self.said.reasoning), "text", self._words(asked))
        reason = self.said.finish or ("TOOL_CALL" if self.said.calls else "COMPLETE")
        yield {"type": "message-end", "delta": {"finish_reason": reason, "usage": self._usage(asked)}}

    def _calling(self) -> Iterator[Event]:
        for thought in self.said.thoughts():
            yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": thought}}}
        for index, (name, arguments) in enumerate(self.said.calls):
            call = {"id": f"{name}_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
            yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": call}}}
            for at in range(0, len(arguments), 8):
                more = {"tool_calls": {"function": {"arguments": arguments[at : at + 8]}}}
                yield {"type": "tool-call-delta", "index": index, "delta": {"message": more}}
            yield {"type": "tool-call-end", "index": index}

    def _whole(self, events: list[Event]) -> Event:
        """The answer that the events of a stream make."""
        texts = {"thinking": self.said.reasoning, "text": ""}
        for event in events:
            if event["type"] == "content-delta":
                texts["text"] += event["delta"]["message"]["content"].get("text", "")
        content = [{"type": kind, kind: text} for kind, text in texts.items() if text]
        calls = [
            {"id": f"{name}_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(self.said.calls)
        ]
        called = {"tool_calls": calls, "tool_plan": self.said.reasoning}
        message = {"role": "assistant", **(called if calls else {"content": content})}
        return {"id": "chat-0", "message": message, **events[-1]["delta"]}

    def _words(self, asked: Any) -> list[str]:
        return self.said.words(asked["messages"][-1].get("content") or "")

    def _usage(self, asked: Any) -> Event:
        prompt = words_in(*(message.get("content") or "" for message in asked["messages"]))
        answer = len(self.said.thoughts()) + (len(self.said.calls) or len(self._words(asked)))
        return {
            "billed_units": {"input_tokens": prompt, "output_tokens": answer},
            "tokens": {"input_tokens": prompt + FRAME, "output_tokens": answer},
            "cached_tokens": self.said.cached_tokens,
        }

    def _embed(self, asked: Any) -> Answer:
        if len(asked["texts"]) > 96:
            return self.error(400, "invalid request: total number of texts must be at most 96")
        if "input_type" not in asked:
            return self.error(400, "invalid request: valid input_type must be provided with the provided model")
        vectors = [vector(text, asked.get("output_dimension", SIZE)) for text in asked["texts"]]
        meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": words_in(*asked["texts"])}}
        body = {"id": "embed-0", "embeddings": {"float": vectors}, "texts": asked["texts"], "meta": meta}
        return json_answer(body | {"response_type": "embeddings_by_type"})


def _block(index: int, kind: str, words: list[str]) -> Iterator[Event]:
    if not words:
        return
    yield {
        "type": "content-start",
        "index": int(index),
        "delta": {"message": {"content": {"type": kind, kind: ""}}},
    }
    for word in words:
        yield {"type": "content-delta", "index": int(index), "delta": {"message": {"content": {kind: word}}}}
    yield {"type": "content-end", "index": int(index)}


def _sse(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
