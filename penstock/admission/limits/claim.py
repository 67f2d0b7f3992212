"""What a request is expected to use, before anything is known of its answer; learns from the answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.core.generation import Generation
from penstock.core.request import Request
from penstock.core.tensors import Tensors

TOKENS_PER_BYTE = 0.3
USUAL_ANSWER = 256.0
LEARNING = 0.1
"""How much one answer changes what is usual."""


Expect = Callable[[str, float, float], float]
"""USD that an answer is expected to cost by its price: the name that is asked, tokens of prompt and answer. 0 where no
price is known."""


class Claim(NamedTuple):
    """Tokens of the prompt and of the answer, and USD, as expected. `listed`: USD by the price alone. `requests`: how
    many requests it is for."""

    prompt: float = 0.0
    answer: float = 0.0
    cost: float = 0.0
    listed: float = 0.0
    requests: int = 1

    @property
    def tokens(self) -> float:
        """Of prompt and answer together."""
        return self.prompt + self.answer


NOTHING = Claim()


def sum_of(claims: Sequence[Claim]) -> Claim:
    """What requests take together."""
    prompt, answer, cost, listed, requests = (sum(numbers) for numbers in zip(*claims, strict=True))
    return Claim(prompt, answer, cost, listed, int(requests))


class Usual:
    """What requests to one name usually take: tokens of an answer, USD (and USD by the price alone), and how far the
    prompt's estimate is off."""

    __slots__ = ("answer", "cost", "listed", "scale")

    def __init__(self) -> None:
        self.answer = USUAL_ANSWER
        self.cost = self.listed = 0.0
        self.scale = 1.0

    def claim(self, request: Request, expect: Expect | None = None) -> Claim:
        """What this request is expected to take. `expect`: where it matters what it costs."""
        payload = request.payload
        if not isinstance(payload, Generation):
            return self._priced(request.model, text_size(payload) * self.scale, 0.0, expect)
        if payload.count_only:
            return NOTHING
        most = payload.sampling.max_tokens
        answer = self.answer if most is None else min(self.answer, most)
        exact = isinstance(payload.prompt, tuple)
        prompt = prompt_size(payload) * (1.0 if exact else self.scale)
        return self._priced(request.model, prompt, payload.choices * answer, expect)

    def _priced(self, name: str, prompt: float, answer: float, expect: Expect | None) -> Claim:
        """With its cost: by the price for requests of this size, and by how others of them differed from that."""
        listed = 0.0 if expect is None else max(0.0, expect(name, prompt, answer))
        cost = self.cost or listed
        if listed and self.cost and self.listed:
            cost = listed * self.cost / self.listed
        return Claim(prompt, answer, cost, listed)

    def learn(self, request: Request, prompt: int, answer: int, cost: float | None, listed: float = 0.0) -> None:
        """A request has been answered, and took this; `listed`: what was expected by its price."""
        payload, share = request.payload, LEARNING
        if isinstance(payload, Generation):
            self.answer += share * (answer / max(1, payload.choices) - self.answer)
            estimate = 0.0 if isinstance(payload.prompt, tuple) else prompt_size(payload)
        else:
            estimate = text_size(payload)
        if estimate and prompt:
            self.scale += share * (min(5.0, max(0.2, prompt / estimate)) - self.scale)
        if cost is not None:
            self.cost = cost if not self.cost else self.cost + share * (cost - self.cost)
            self.listed = listed if not self.listed else self.listed + share * (listed - self.listed)


def prompt_size(generation: Generation) -> float:
    """Tokens of a prompt, by estimate where it is text."""
    prompt = generation.prompt
    if isinstance(prompt, tuple):
        return len(prompt)
    if prompt is not None:
        return _bytes(prompt) * TOKENS_PER_BYTE + 1
    said = sum(_bytes(message.content) + _bytes(message.reasoning) for message in generation.messages)
    called = sum(_bytes(call.arguments) for message in generation.messages for call in message.calls)
    offered = sum(_bytes(tool.description) + 40 * len(tool.parameters) for tool in generation.tools)
    return (said + called + offered) * TOKENS_PER_BYTE + 4 * len(generation.messages)


def text_size(tensors: Tensors) -> float:
    """Tokens of texts among tensors, by estimate; 0 for numbers."""
    texts = [tensor.array for tensor in tensors.values() if tensor.datatype == "BYTES"]
    return TOKENS_PER_BYTE * sum(len(text) for array in texts for text in array.ravel().tolist())


def _bytes(text: str) -> int:
    """Length in UTF-8: other scripts take more tokens per character, about as they take more bytes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
