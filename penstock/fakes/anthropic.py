"""A fake of Anthropic's API: messages, streamed and whole, and counts of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.fakes.calls import Answer, Call, json_answer, sse_answer
from penstock.fakes.plans import GOOD, Plan
from penstock.fakes.server import FakeServer
from penstock.fakes.speech import Said, pieces, words_in

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
Event = dict[str, Any]


class FakeAnthropic(FakeServer):
    """`said`: what its models say. `key`: the only key that it accepts ("" for any). `breaks`: the kind of an error
    that ends streams after the first part of the answer ("" for none), such as "overloaded_error"."""

    prefix = "/v1"

    def __init__(self, port: int = 0, *, plan: Plan = GOOD, said: Said | None = None, key: str = ""):
        super().__init__(port, plan=plan)
        self.said = said or Said()
        self.key = key
        self.breaks = ""

    def answer(self, call: Call) -> Answer:
        """By its path."""
        given = call.headers.get("x-api-key") or call.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key and given != self.key:
            return self.error(401, f"invalid x-api-key: {given}")
        if "anthropic-version" not in call.headers:
            return self.error(400, "anthropic-version: header is required")
        if call.path == "/v1/messages/count_tokens":
            return json_answer({"input_tokens": _prompt_tokens(call.json)})
        if call.path != "/v1/messages":
            return self.error(404, "Not Found")
        if call.headers["anthropic-version"] >= "2026-10-21":
            for name in ("temperature", "top_p", "top_k"):
                if name in call.json:
                    return self.error(400, f"{name}: Extra inputs are not permitted")
        return self._messages(call.json)

    def error(self, status: int, words: str) -> Answer:
        """An error as Anthropic writes it."""
        kind = KINDS.get(status, "api_error")
        return json_answer({"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_0"}, status)

    def _messages(self, asked: Any) -> Answer:
        if "max_tokens" not in asked:
            return self.error(400, "max_tokens: Field required")
        if wrong := _wrong(asked["messages"]):
            return self.error(400, wrong)
        events = list(self._events(asked))
        return sse_answer([_sse(event) for event in events]) if asked.get("stream") else json_answer(_whole(events))

    def _events(self, asked: Any) -> Iterator[Event]:
        """What a stream consists of; a whole message is made of the same."""
        message = {"id": "msg_0", "type": "message", "role": "assistant", "model": asked["model"], "content": []}
        ends: Event = {"stop_reason": None, "stop_sequence": None}
        yield {"type": "message_start", "message": {**message, **ends, "usage": self._usage(asked, 1)}}
        yield {"type": "ping"}
        for index, (block, deltas) in enumerate(self._blocks(asked)):
            yield {"type": "content_block_start", "index": index, "content_block": block}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
                if self.breaks:
                    yield {"type": "error", "error": {"type": self.breaks, "message": "it broke"}}
                    return
            yield {"type": "content_block_stop", "index": index}
        reason = self.said.finish or ("tool_use" if self.said.calls else "end_turn")
        stop = asked.get("stop_sequences", [None])[0] if reason == "stop_sequence" else None
        usage = self._usage(asked, len(self._text(asked)) + len(self.said.thoughts()) + len(self.said.calls))
        yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": stop}, "usage": usage}
        yield {"type": "message_stop"}

    def _blocks(self, asked: Any) -> Iterator[tuple[Event, list[Event]]]:
        if self.said.reasoning:
            deltas: list[Event] = [{"type": "thinking_delta", "thinking": piece} for piece in self.said.thoughts()]
            yield (
                {"type": "thinking", "thinking": "", "signature": ""},
                [
                    *deltas,
                    {"type": "signature_delta", "signature": "c2lnbmVk"},
                ],
            )
        if text := self._text(asked):
            yield {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in text]
        for index, (name, arguments) in enumerate(self.said.calls):
            parts = ["", *(arguments[at : at + 8] for at in range(0, len(arguments), 8))]
            block: Event = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
            yield block, [{"type": "input_json_delta", "partial_json": part} for part in parts]

    def _text(self, asked: Any) -> list[str]:
        if self.said.calls:
            return pieces(self.said.text or "")
        return self.said.words(text_of(asked["messages"][-1]))

    def _usage(self, asked: Any, answer: int) -> dict[str, Any]:
        cached = self.said.cached_tokens
        return {
            "input_tokens": _prompt_tokens(asked) - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": answer,
        }


def text_of(message: Any) -> str:
    """The text of a message of blocks."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return " ".join(block.get("text") or str(block.get("content") or "") for block in content)


def _prompt_tokens(asked: Any) -> int:
    return words_in(asked.get("system") or "", *map(text_of, asked["messages"]))


def _wrong(messages: list[Any]) -> str:
    """What Anthropic would say about the messages; "" where they are well."""
    if not messages:
        return "messages: at least one message is required"
    calls: set[str] = set()
    for index, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else [{"type": "text", **message}]
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if calls - answered:
            return f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after"
        if answered - calls:
            return f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks"
        if any(block["type"] == "text" and not (block.get("text") or block.get("content")) for block in blocks):
            return "messages: text content blocks must be non-empty"
        calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return ""


def _whole(events: list[Event]) -> Event:
    """The message that the events of a stream make."""
    message: Event = events[0]["message"]
    for event in events[1:]:
        if event["type"] == "content_block_start":
            message["content"].append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            _grow(message["content"][event["index"]], event["delta"])
        elif event["type"] == "message_delta":
            message |= event["delta"] | {"usage": event["usage"]}
    for block in message["content"]:
        if isinstance(block.get("input"), str):
            block["input"] = msgspec.json.decode(block["input"] or "{}")
    return message


def _grow(block: Event, delta: Event) -> None:
    kind, text = next((name, value) for name, value in delta.items() if name != "type")
    name = "input" if kind == "partial_json" else kind
    block[name] = (block[name] or "") + text


def _sse(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(event))
