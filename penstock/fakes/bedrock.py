"""A fake of AWS Bedrock: Converse, streamed and whole, counts of tokens, embeddings of Titan and Cohere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec

from penstock.fakes.aws import STREAM, event, exception, is_signed
from penstock.fakes.calls import Answer, Call, json_answer
from penstock.fakes.plans import GOOD, Plan
from penstock.fakes.server import FakeServer
from penstock.fakes.speech import Said, vector, words_in

SIZE = 8
ACCESS, SECRET = "AKIAPENSTOCKFAKE", "secret-of-the-fake"
KINDS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
Event = dict[str, Any]


class FakeBedrock(FakeServer):
    """Accepts calls that are signed with `ACCESS` and `SECRET`, or carry its `key`. `said`: what its models say.
    `breaks`: the name of an exception that ends streams after the first part of the answer ("" for none)."""

    takes: ClassVar[str] = f"calls signed with AWS_ACCESS_KEY_ID={ACCESS} AWS_SECRET_ACCESS_KEY={SECRET}"

    def __init__(self, port: int = 0, *, plan: Plan = GOOD, said: Said | None = None, key: str = ""):
        super().__init__(port, plan=plan)
        self.said = said or Said()
        self.key = key
        self.breaks = ""

    def answer(self, call: Call) -> Answer:
        """By its path."""
        if not self._knows(call):
            return self.error(403, "The security token included in the request is invalid.")
        _, room, model, verb = call.path.split("/")
        if room != "model":
            return self.error(404, "not found")
        model, asked = unquote(model), call.json
        if verb == "invoke":
            return self._embed(model, asked)
        if verb == "count-tokens":
            return json_answer({"inputTokens": _prompt_tokens(asked["input"]["converse"])})
        if wrong := _wrong(asked["messages"]):
            return self.error(400, wrong)
        events = list(self._events(asked))
        if verb == "converse-stream":
            return Answer([_framed(name, told) for name, told in events], STREAM, streamed=True)
        return json_answer(_whole(events))

    def error(self, status: int, words: str) -> Answer:
        """An error as AWS writes it."""
        kind = KINDS.get(status, "InternalServerException")
        return json_answer({"message": words}, status, {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/"})

    def _knows(self, call: Call) -> bool:
        if self.key and call.headers.get("authorization") == f"Bearer {self.key}":
            return True
        return is_signed(call, ACCESS, SECRET)

    def _events(self, asked: Any) -> Iterator[tuple[str, Event]]:
        yield "messageStart", {"role": "assistant"}
        for index, (start, deltas) in enumerate(self._blocks(asked)):
            if start:
                yield "contentBlockStart", {"contentBlockIndex": index, "start": start}
            for delta in deltas:
                yield "contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abcdef"}
                if self.breaks:
                    yield self.breaks, {"message": "it broke"}
                    return
            yield "contentBlockStop", {"contentBlockIndex": index}
        reason = self.said.finish or ("tool_use" if self.said.calls else "end_turn")
        yield "messageStop", {"stopReason": reason}
        yield "metadata", {"usage": self._usage(asked), "metrics": {"latencyMs": 12}}

    def _blocks(self, asked: Any) -> Iterator[tuple[Event, list[Event]]]:
        if self.said.reasoning:
            thoughts: list[Event] = [{"reasoningContent": {"text": piece}} for piece in self.said.thoughts()]
            yield {}, [*thoughts, {"reasoningContent": {"signature": "c2lnbmVk"}}]
        if text := self._text(asked):
            yield {}, [{"text": piece} for piece in text]
        for index, (name, arguments) in enumerate(self.said.calls):
            parts = [arguments[at : at + 8] for at in range(0, len(arguments), 8)]
            use = {"toolUse": {"toolUseId": f"tooluse_{index}", "name": name}}
            yield use, [{"toolUse": {"input": part}} for part in parts]

    def _text(self, asked: Any) -> list[str]:
        return [] if self.said.calls else self.said.words(text_of(asked["messages"][-1]))

    def _usage(self, asked: Any) -> Event:
        prompt, cached = _prompt_tokens(asked), self.said.cached_tokens
        answer = len(self.said.thoughts()) + len(self._text(asked)) + len(self.said.calls)
        counts = {"inputTokens": prompt - cached, "outputTokens": answer, "totalTokens": prompt + answer}
        return counts | ({"cacheReadInputTokens": cached} if cached else {})

    def _embed(self, model: str, asked: Any) -> Answer:
        if "titan-embed" in model:
            text = asked["inputText"]
            found = vector(text, asked.get("dimensions", SIZE))
            return json_answer({"embedding": found, "inputTextTokenCount": words_in(text)})
        vectors = [vector(text, asked.get("output_dimension", SIZE)) for text in asked["texts"]]
        told = {"id": "0", "texts": asked["texts"], "response_type": "embeddings_floats"}
        return json_answer({**told, "embeddings": {"float": vectors} if "embedding_types" in asked else vectors})


def text_of(message: Any) -> str:
    """The text of a message of blocks."""
    return " ".join(block.get("text") or str(block.get("toolResult") or "") for block in message["content"])


def _prompt_tokens(asked: Any) -> int:
    return words_in(*(block["text"] for block in asked.get("system", ())), *map(text_of, asked["messages"]))


def _wrong(messages: list[Any]) -> str:
    """What Bedrock would say about the messages; "" where they are well."""
    if not messages or messages[0]["role"] != "user":
        return "A conversation must start with a user message. Try again with a conversation that starts with one."
    for before, after in pairwise(messages):
        if before["role"] == after["role"]:
            return "A conversation must alternate between user and assistant roles."
    return ""


def _framed(name: str, told: Event) -> bytes:
    return (exception if name.endswith("Exception") else event)(name, msgspec.json.encode(told))


def _whole(events: list[tuple[str, Event]]) -> Event:
    """The answer that the events of a stream make."""
    blocks: dict[int, Event] = {}
    answer: Event = {}
    for name, told in events:
        if name == "contentBlockStart":
            blocks[told["contentBlockIndex"]] = {"toolUse": {**told["start"]["toolUse"], "input": ""}}
        elif name == "contentBlockDelta":
            _grow(blocks.setdefault(told["contentBlockIndex"], {}), told["delta"])
        elif name in ("messageStop", "metadata"):
            answer |= told
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = msgspec.json.decode(block["toolUse"]["input"] or "{}")
    return {"output": {"message": {"role": "assistant", "content": list(blocks.values())}}, **answer}


def _grow(block: Event, delta: Event) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        known = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        for name, value in delta["reasoningContent"].items():
            known[name] = known.get(name, "") + value
