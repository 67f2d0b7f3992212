"""Chooses the next token of one sequence from its logits, in plain torch: the reference for what sampling means."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import Any

import torch

from penstock.core.generation import Sampling
from penstock.runtimes.generation.contract import Choice

LOWEST = -9999.0
"""What minus infinity is shown as."""


class NoToken(Exception):
    """No token may come next."""


class Sampler:
    """The settings of one sequence and what they need to remember. `ends`: tokens that end it. `matcher`: the grammar's
    state, if it follows one."""

    def __init__(self, sampling: Sampling, prompt: list[int], ends: frozenset[int], device: Any, matcher: Any = None):
        self._sampling = sampling
        self._prompt = set(prompt)
        self._counts: Counter[int] = Counter()
        self._ends = sorted(ends)
        self._device = device
        self._matcher = matcher
        self._bias = sampling.logit_bias
        self._penalty = sampling.repetition_penalty or 1.0
        self._random = self._generator() if sampling.temperature else None

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is the next, with nothing else to look at."""
        asked = self._sampling
        waits = asked.min_tokens > self._counts.total()
        changes = self._bias or asked.presence_penalty or asked.frequency_penalty or self._penalty != 1.0
        return not (asked.temperature or self._matcher or waits or changes or asked.logprobs is not None)

    def _generator(self) -> Any:
        seed = self._sampling.seed
        generator = torch.Generator(self._device)
        generator.manual_seed((secrets.randbits(63) if seed is None else seed) % 2**63)
        return generator

    def choose(self, logits: Any) -> tuple[int, Choice | None]:
        """The next token, from the logits of the whole vocabulary in FP32, and what is shown of it. Raises NoToken."""
        scores = self._masked(self._biased(logits.clone()))
        if not scores.max().isfinite():
            raise NoToken("no token may come here, or the logits are no numbers")
        token = int(scores.argmax()) if self._random is None else self._drawn(scores)
        return token, self._shown(logits, token)

    def took(self, token: int) -> None:
        """The token is part of the sequence now."""
        self._counts[token] += 1
        if self._matcher is not None:
            self._matcher.took(token)

    def _biased(self, scores: Any) -> Any:
        """Bias and penalties: presence and frequency look at the answer, repetition at the prompt too."""
        asked = self._sampling
        if self._bias:
            scores[list(self._bias)] += torch.tensor(list(self._bias.values()), device=scores.device)
        if self._penalty != 1.0:
            seen = torch.tensor(sorted(self._prompt | self._counts.keys()), device=scores.device)
            found = scores[seen]
            worse, better = found * self._penalty, found / self._penalty
            scores[seen] = torch.where(found < 0, worse, better)
        if self._counts and (asked.presence_penalty or asked.frequency_penalty):
            counts = torch.tensor(list(self._counts.values()), device=scores.device, dtype=scores.dtype)
            scores[list(self._counts)] -= asked.presence_penalty + asked.frequency_penalty * counts
        return scores

    def _masked(self, scores: Any) -> Any:
        """Tokens that cannot be: ends that come too early, and what the grammar does not allow."""
        if self._ends and self._sampling.min_tokens > self._counts.total():
            scores[self._ends] = -torch.inf
        return scores if self._matcher is None else self._matcher.mask(scores)

    def _drawn(self, scores: Any) -> int:
        """A token at random, by temperature, top_k, min_p and top_p, in this order."""
        asked = self._sampling
        scores = scores / asked.temperature
        if asked.top_k and asked.top_k < len(scores):
            least = scores.topk(asked.top_k).values[-1]
            scores = scores.masked_fill(scores < least, -torch.inf)
        odds = scores.softmax(-1)
        if asked.min_p:
            odds = odds.masked_fill(odds < asked.min_p * odds.max(), 0)
        if asked.top_p is not None and asked.top_p < 1:
            odds = _nucleus(odds, asked.top_p)
        return int(torch.multinomial(odds, 1, generator=self._random))

    def _shown(self, logits: Any, token: int) -> Choice | None:
        """The log-probability of the token, and of the likeliest ones, as the model has them."""
        if self._sampling.logprobs is None:
            return None
        logprobs = logits.log_softmax(-1).clamp(min=LOWEST)
        values, tokens = logprobs.topk(min(self._sampling.logprobs, len(logprobs)))
        top = tuple(zip(tokens.tolist(), values.tolist(), strict=True))
        return Choice(float(logprobs[token]), top)


def _nucleus(odds: Any, share: float) -> Any:
    """The likeliest tokens that together have this share, the one that reaches it included."""
    ordered, tokens = odds.sort(descending=True)
    ordered[(ordered.cumsum(-1) - ordered) >= share * odds.sum()] = 0
    return torch.zeros_like(odds).scatter_(0, tokens, ordered)
