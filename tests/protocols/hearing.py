"""What a client hears of an answer in each dialect: from the pieces of a stream, or from a whole body."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple


class Heard(NamedTuple):
    """An answer. `calls`: names and arguments. `reason`: in the dialect's word."""

    text: str
    thoughts: str
    calls: list[tuple[str, Any]]
    reason: str | None


def messages_whole(body: Any) -> Heard:
    """A body of Anthropic's."""
    blocks = body["content"]
    return Heard(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        body["stop_reason"],
    )


def messages_streamed(events: Iterable[Any]) -> Heard:
    """Anthropic's events: a call's arguments are read when its block ends."""
    blocks: list[Any] = []
    arguments, reason = "", None
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
            arguments = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            arguments += delta.get("partial_json", "")
            for field in ("text", "thinking"):
                if field in delta:
                    blocks[-1][field] += delta[field]
        elif event["type"] == "content_block_stop" and blocks[-1]["type"] == "tool_use":
            blocks[-1]["input"] = json.loads(arguments or "{}")
        elif event["type"] == "message_delta":
            reason = event["delta"]["stop_reason"]
    return messages_whole({"content": blocks, "stop_reason": reason})


def ollama_whole(body: Any) -> Heard:
    """A body of Ollama's."""
    said = body.get("message", body)
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in said.get("tool_calls", ())]
    text = said["content"] if "message" in body else said["response"]
    return Heard(text, said.get("thinking", ""), calls, body.get("done_reason"))


def ollama_streamed(lines: Iterable[Any]) -> Heard:
    """Ollama's lines: each says more."""
    heard = list(map(ollama_whole, lines))
    calls = [call for each in heard for call in each.calls]
    return Heard(
        "".join(each.text for each in heard), "".join(each.thoughts for each in heard), calls, heard[-1].reason
    )


def chat_whole(body: Any) -> Heard:
    """A body of OpenAI's chat."""
    (choice,) = body["choices"]
    said = choice["message"]
    calls = [
        (each["function"]["name"], json.loads(each["function"]["arguments"])) for each in said.get("tool_calls", ())
    ]
    return Heard(said["content"] or "", said.get("reasoning_content", ""), calls, choice["finish_reason"])


def chat_streamed(chunks: Iterable[Any]) -> Heard:
    """Chunks of OpenAI's chat: deltas of calls go by their index."""
    text, thoughts, reason = "", "", None
    calls: dict[int, dict[str, str]] = {}
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        delta, reason = choice["delta"], choice["finish_reason"] or reason
        text, thoughts = text + (delta.get("content") or ""), thoughts + delta.get("reasoning_content", "")
        for each in delta.get("tool_calls", ()):
            function = calls.setdefault(each["index"], {"name": "", "arguments": ""})
            for field, more in each["function"].items():
                function[field] += more
    return Heard(text, thoughts, [(c["name"], json.loads(c["arguments"])) for _, c in sorted(calls.items())], reason)


def responses_whole(body: Any) -> Heard:
    """A body of OpenAI's responses."""
    items, details = body["output"], body["incomplete_details"]
    texts = {kind: [part["text"] for item in items if item["type"] == kind for part in item["content"]]
             for kind in ("message", "reasoning")}  # fmt: skip
    calls = [(item["name"], json.loads(item["arguments"])) for item in items if item["type"] == "function_call"]
    reason = details["reason"] if details else body["status"]
    return Heard("".join(texts["message"]), "".join(texts["reasoning"]), calls, reason)


def responses_streamed(events: Iterable[Any]) -> Heard:
    """Events of OpenAI's responses, deltas alone; the last has the whole, which must say the same."""
    text, thoughts, last = "", "", {}
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for event in events:
        kind, last = event["type"].removeprefix("response."), event
        if kind == "output_item.added" and event["item"]["type"] == "function_call":
            names[event["output_index"]], arguments[event["output_index"]] = event["item"]["name"], ""
        elif kind == "output_text.delta":
            text += event["delta"]
        elif kind == "reasoning_text.delta":
            thoughts += event["delta"]
        elif kind == "function_call_arguments.delta":
            arguments[event["output_index"]] += event["delta"]
    whole = responses_whole(last["response"])
    heard = Heard(text, thoughts, [(names[at], json.loads(arguments[at])) for at in sorted(names)], whole.reason)
    assert heard == whole
    return heard
