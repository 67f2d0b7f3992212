"""A fake of Google's Gemini API: contents, streamed and whole, counts of tokens, embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.fakes.calls import Answer, Call, json_answer, sse_answer
from penstock.fakes.plans import GOOD, Plan
from penstock.fakes.server import FakeServer
from penstock.fakes.speech import Said, vector, words_in

SIZE = 8
SIGNATURE = "c2lnbmF0dXJlK3Rlc3Q="
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
_PATH = re.compile(r"/v1(?:beta)?/(models/[\w.\-]+):(\w+)(\?alt=sse)?").fullmatch


class FakeGemini(FakeServer):
    """`said`: what its models say. `key`: the only key that it accepts ("" for any). `blocks`: why it refuses prompts
    ("" for not at all). `signs`: whether calls carry a signature, and are taken back only with one. `retry`: when to
    come back, as errors say it."""

    prefix = "/v1beta"

    def __init__(self, port: int = 0, *, plan: Plan = GOOD, said: Said | None = None, key: str = ""):
        super().__init__(port, plan=plan)
        self.said = said or Said()
        self.key = key
        self.blocks = ""
        self.signs = False
        self.retry = "7s"

    def answer(self, call: Call) -> Answer:
        """By its path."""
        if self.key and call.headers.get("x-goog-api-key") != self.key:
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
            return self._error(400, "API key not valid. Please pass a valid API key.", reason)
        found = _PATH(call.path)
        if found is None:
            return self.error(404, "Requested entity was not found.")
        model, verb, streamed = found.groups()
        asked = call.json
        if verb == "countTokens":
            return json_answer({"totalTokens": _prompt_tokens(asked["generateContentRequest"])})
        if verb == "batchEmbedContents":
            return self._embeddings(model, asked["requests"])
        if wrong := self._wrong(asked):
            return self.error(400, wrong)
        if self.blocks:
            answers = [{"promptFeedback": {"blockReason": self.blocks}, "usageMetadata": self._usage(asked)}]
        else:
            answers = list(self._chunks(asked))
        if verb == "streamGenerateContent" and streamed:
            return sse_answer([b"data: %b\r\n\r\n" % msgspec.json.encode(answer) for answer in answers])
        return json_answer(_whole(answers))

    def error(self, status: int, words: str) -> Answer:
        """An error as Google writes it."""
        if status != 429:
            return self._error(status, words)
        return self._error(
            status, words, {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": self.retry}
        )

    def _error(self, status: int, words: str, *details: dict[str, str]) -> Answer:
        kind = STATUSES.get(status, "INTERNAL")
        return json_answer({"error": {"code": status, "message": words, "status": kind, "details": details}}, status)

    def _chunks(self, asked: Any) -> Iterator[dict[str, Any]]:
        """The parts of a stream: all candidates take turns."""
        settings = asked.get("generationConfig") or {}
        parts = list(self._parts(asked))
        count = settings.get("candidateCount", 1)
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            for index in range(count):
                candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": index}
                if settings.get("responseLogprobs") and "text" in part:
                    candidate["logprobsResult"] = _logprobs(part["text"])
                if last:
                    candidate["finishReason"] = self.said.finish or "STOP"
                yield {
                    "candidates": [candidate],
                    "usageMetadata": self._usage(asked, (at + 1) * count),
                    "modelVersion": "fake",
                    "responseId": "response-0",
                }

    def _parts(self, asked: Any) -> Iterator[dict[str, Any]]:
        for thought in self.said.thoughts():
            yield {"text": thought, "thought": True}
        for index, (name, arguments) in enumerate(self.said.calls):
            signature = {"thoughtSignature": SIGNATURE} if self.signs and index == 0 else {}
            yield {"functionCall": {"name": name, "args": msgspec.json.decode(arguments)}} | signature
        if not self.said.calls:
            for word in self.said.words(text_of(asked["contents"][-1])):
                yield {"text": word}

    def _usage(self, asked: Any, answer: int = 0) -> dict[str, Any]:
        prompt, thoughts = _prompt_tokens(asked), min(answer, len(self.said.thoughts()))
        usage = {"promptTokenCount": prompt, "candidatesTokenCount": answer - thoughts}
        if self.said.cached_tokens:
            usage["cachedContentTokenCount"] = self.said.cached_tokens
        return usage | {"thoughtsTokenCount": thoughts, "totalTokenCount": prompt + answer}

    def _wrong(self, asked: Any) -> str:
        if not asked.get("contents"):
            return "* GenerateContentRequest.contents: contents is not specified"
        for before, content in zip([None, *asked["contents"]], asked["contents"], strict=False):
            answers = [part for part in content["parts"] if "functionResponse" in part]
            calls = [part for part in before["parts"] if "functionCall" in part] if before else []
            if len(answers) != len(calls):
                return "the number of function response parts must equal the number of function call parts"
            if self.signs and calls and "thoughtSignature" not in calls[0]:
                return "Function call is missing a thought_signature in functionCall parts"
        return ""

    def _embeddings(self, model: str, requests: list[Any]) -> Answer:
        if any(request.get("model") != model for request in requests):
            return self.error(400, "* BatchEmbedContentsRequest.requests.model: model does not match the path")
        size = requests[0].get("outputDimensionality", SIZE)
        return json_answer(
            {"embeddings": [{"values": vector(text_of(request["content"]), size)} for request in requests]}
        )


def text_of(content: Any) -> str:
    """The text of a content of parts."""
    return " ".join(part.get("text") or str(part.get("functionResponse") or "") for part in content["parts"])


def _prompt_tokens(asked: Any) -> int:
    system = [asked["systemInstruction"]] if "systemInstruction" in asked else []
    return words_in(*map(text_of, [*system, *asked["contents"]]))


def _logprobs(text: str) -> dict[str, Any]:
    token = {"token": text, "tokenId": 1, "logProbability": -0.25}
    return {"chosenCandidates": [token], "topCandidates": [{"candidates": [token]}]}


def _whole(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer that the parts of a stream make."""
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for candidate in chunk.get("candidates", ()):
            known = candidates.get(candidate["index"])
            parts = [*(known["content"]["parts"] if known else ()), *candidate["content"]["parts"]]
            candidates[candidate["index"]] = {**candidate, "content": {"parts": parts, "role": "model"}}
    return {**chunks[-1], "candidates": list(candidates.values())}
