"""One sequence under way in llama.cpp: what it has, what it computes next, how it ends."""

from __future__ import annotations

from typing import Literal

from penstock.core.generation import Sampling
from penstock.runtimes.generation.contract import Choice, Progress
from penstock.runtimes.generation.engines.llamacpp_batch import Batch
from penstock.runtimes.generation.engines.llamacpp_network import Logits, Network
from penstock.runtimes.generation.engines.llamacpp_sampler import NoToken, Sampler, choice
from penstock.runtimes.generation.engines.llamacpp_slots import Slot, Slots

Finished = Literal["", "stop", "length", "error"]


class Sequence:
    """`tokens`: prompt and answer so far; `slot.tokens`, what of them is computed. `ends`: tokens that end it. `room`:
    tokens that the context has left for the answer."""

    def __init__(
        self,
        id: int,
        prompt: list[int],
        sampling: Sampling,
        sampler: Sampler,
        ends: frozenset[int],
        adapter: str,
        room: int,
    ):
        self.id = id
        self.tokens = list(prompt)
        self.adapter = adapter
        self.slot: Slot | None = None
        self.cached = 0
        self.fed = 0
        self._prompt = len(prompt)
        self._logprobs = sampling.logprobs
        self._limit = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        self._sampler = sampler
        self._ends = ends
        self._guess: list[int] = []
        self._row = 0
        self._reported = False

    def begin(self, slot: Slot) -> None:
        """Gets its place."""
        self.slot = slot
        self.cached = len(slot.tokens)

    @property
    def place(self) -> Slot:
        """Its slot, once it has one."""
        assert self.slot is not None, "the sequence waits for a slot"
        return self.slot

    @property
    def number(self) -> int:
        """Its slot's number."""
        return self.place.number

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - self._prompt

    @property
    def left(self) -> int:
        """Tokens that may still come."""
        return self._limit - self.generated

    @property
    def answering(self) -> bool:
        """Whether only its last token is to be computed."""
        return len(self.tokens) - len(self.place.tokens) == 1

    def feed(self, batch: Batch, room: int, guess: list[int]) -> int:
        """Puts up to `room` of its next tokens and a guess at those after into the batch; returns how many."""
        known = len(self.place.tokens)
        piece = self.tokens[known : known + room]
        whole = known + len(piece) == len(self.tokens)
        self._guess = guess
        self._row = batch.add(self.number, piece + guess, known, 1 + len(guess) if whole else 0)
        self.place.tokens += piece + guess
        self.fed = len(piece) + len(guess)
        return self.fed

    def advance(self, network: Network, slots: Slots) -> Progress | None:
        """Takes its new tokens out of the computed batch; None while its prompt is not whole."""
        self.fed = 0
        if len(self.place.tokens) - len(self._guess) < len(self.tokens):
            return None
        tokens: list[int] = []
        choices: list[Choice] = []
        finished: Finished = ""
        error = ""
        try:
            finished = self._choose(network, tokens, choices)
        except NoToken as reason:
            finished, error = "error", str(reason)
        slots.keep(self.place, len(self.tokens) - 1)
        return self._progress(tokens, choices, finished, error)

    def _choose(self, network: Network, tokens: list[int], choices: list[Choice]) -> Finished:
        """Chooses a token, and one more after each guess that was right."""
        for at in range(len(self._guess) + 1):
            logits = network.logits(self._row + at)
            token = self._sampler.choose(logits, self.generated)
            self._note(token, logits, tokens, choices)
            if token in self._ends:
                return "stop"
            if not self.left:
                return "length"
            if at == len(self._guess) or token != self._guess[at]:
                return ""
        return ""

    def _note(self, token: int, logits: Logits, tokens: list[int], choices: list[Choice]) -> None:
        if self._logprobs is not None:
            choices.append(choice(logits, token, self._logprobs))
        self._sampler.accept(token)
        self.tokens.append(token)
        tokens.append(token)

    def _progress(self, tokens: list[int], choices: list[Choice], finished: Finished, error: str) -> Progress:
        cached = 0 if self._reported else self.cached
        self._reported = True
        drafted = len(self._guess)
        right = sum(a == b for a, b in zip(tokens, self._guess, strict=False))
        self._guess = []
        return Progress(self.id, tokens, choices, finished, cached, drafted, right, error)
