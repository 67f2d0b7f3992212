"""Log-probabilities of OpenAI's API, of chats and of completions."""

from __future__ import annotations

from itertools import zip_longest

from penstock.core.generation import TokenLogprob
from penstock.runtimes.remote.openai_wire import Logprob, Logprobs, TopLogprob

LOWEST = -9999.0
"""Stands for a log-probability of minus infinity, which JSON cannot say."""


def logprobs_of(given: Logprobs) -> tuple[TokenLogprob, ...]:
    """Of the tokens of a piece of text."""
    if given.content is not None:
        return tuple(_chat(token) for token in given.content)
    return _columns(given)


def _chat(token: Logprob) -> TokenLogprob:
    top = tuple((other.token, _raw(other), max(other.logprob, LOWEST)) for other in token.top_logprobs)
    return TokenLogprob(token.token, _raw(token), max(token.logprob, LOWEST), top)


def _raw(token: Logprob | TopLogprob) -> bytes:
    return token.token.encode() if token.bytes is None else bytes(token.bytes)


def _columns(given: Logprobs) -> tuple[TokenLogprob, ...]:
    """A completion's: tokens, their log-probabilities and the alternatives, each in a list. A prompt's first token has
    none."""
    rows = zip_longest(given.tokens or (), given.token_logprobs or (), given.top_logprobs or ())
    return tuple(
        TokenLogprob(
            token,
            token.encode(),
            max(logprob, LOWEST),
            tuple((other, other.encode(), max(value, LOWEST)) for other, value in (top or {}).items()),
        )
        for token, logprob, top in rows
        if token is not None and logprob is not None
    )
