"""Answers that follow a grammar, in plain torch: llguidance says which tokens may come next."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection
from typing import Any

import torch

from penstock.core.errors import BadInput
from penstock.runtimes.generation.contract import Tokenizer

UNREAD = "the schema makes a grammar that the engine cannot read"

_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)", re.DOTALL)


def installed() -> bool:
    """Whether llguidance is there."""
    return importlib.util.find_spec("llguidance") is not None


class Grammars:
    """Makes matchers for one model's tokens. `width`: how many logits it has."""

    def __init__(self, tokenizer: Tokenizer, ends: Collection[int], width: int):
        import llguidance

        self._library = llguidance
        words = llguidance.TokenizerWrapper(_Words(tokenizer, min(ends), width))
        self._tokens = llguidance.LLTokenizer(words, n_vocab=width, eos_token=sorted(ends))

    def matcher(self, grammar: str) -> Matcher:
        """The state of an answer that follows a GBNF grammar. Raises `BadInput` for one that cannot be read."""
        from llguidance.gbnf_to_lark import GbnfToLarkError, any_to_lark

        kind = self._library.LLMatcher
        try:
            matcher = kind(self._tokens, kind.grammar_from_lark(any_to_lark(_spelled(grammar))))
        except (GbnfToLarkError, ValueError) as error:
            raise BadInput(UNREAD, detail=str(error)) from error
        if matcher.is_error():
            raise BadInput(UNREAD, detail=matcher.get_error())
        return Matcher(matcher)


class Matcher:
    """The state of one answer."""

    def __init__(self, matcher: Any):
        self._matcher = matcher

    def mask(self, scores: Any) -> Any:
        """The scores, minus infinity where the grammar does not go on."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        allowed = (bits[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        mask = allowed.flatten()[: len(scores)].bool().to(scores.device)
        return scores.masked_fill(~mask, -torch.inf)

    def took(self, token: int) -> None:
        """The token is part of the answer now."""
        self._matcher.consume_token(token)


class _Words:
    """A tokenizer as llguidance takes one."""

    def __init__(self, tokenizer: Tokenizer, end: int, width: int):
        pieces = list(tokenizer.pieces())[:width]
        self.tokens = pieces + [b""] * (width - len(pieces))
        self.special_token_ids = [number for number in tokenizer.control if number < width]
        self.eos_token_id = end
        self.bos_token_id = None
        self._encode = tokenizer.encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text, special=False)


def _spelled(grammar: str) -> str:
    """The grammar with characters in place of their numbers, which llguidance's reader of GBNF writes wrong."""

    def spell(found: re.Match[str]) -> str:
        number = found[1] or found[2]
        if number is None:
            return found[0]
        code = int(number, 16)
        return f"\\x{code:02x}" if code < 0xA0 else chr(code)

    return _ESCAPED.sub(spell, grammar)
