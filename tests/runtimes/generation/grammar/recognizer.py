"""Reads GBNF and says whether a text follows it: a third opinion beside the engines', small enough to be believed."""

from __future__ import annotations

import re
from typing import Any

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[a-z][a-z0-9]*|\{\d+(?:,\d*)?\}|[()|*+?]')
ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8}))")
Stack = tuple[Any, ...]


class Grammar:
    """Rules as lists of alternatives of symbols: ("set", negated, ranges), ("rule", name), ("repeat", ...)."""

    def __init__(self, text: str):
        self.rules: dict[str, Any] = {}
        for line in text.splitlines():
            name, body = line.split(" ::= ", 1)
            tokens = TOKEN.findall(body)
            assert "".join(tokens).replace(" ", "") == re.sub(r"(?<!\\) ", "", body).replace(" ", "")
            self.rules[name], rest = self._options(tokens)
            assert not rest

    def _options(self, tokens: list[str]) -> tuple[Any, list[str]]:
        options: list[Any] = [[]]
        while tokens and tokens[0] != ")":
            token, *tokens = tokens
            if token == "|":
                options.append([])
            elif token == "(":
                inner, tokens = self._options(tokens)
                tokens = tokens[1:]
                options[-1].append(("group", inner))
            elif token in "*+?" or token[0] == "{":
                options[-1][-1] = ("repeat", options[-1][-1], *_counts(token))
            else:
                options[-1] += _symbols(token)
        return tuple(tuple(option) for option in options), tokens

    def accepts(self, text: str) -> bool:
        """Whether the whole text follows the grammar."""
        stacks = self._closed({(("rule", "root"),)})
        for character in text:
            after = {stack[1:] for stack in stacks if stack and _fits(stack[0], ord(character))}
            stacks = self._closed(after)
        return () in stacks

    def _closed(self, stacks: set[Stack]) -> set[Stack]:
        """Stacks whose first symbol is a set of characters, or that are empty."""
        found: set[Stack] = set()
        seen: set[Stack] = set()
        pending = list(stacks)
        while pending:
            stack = pending.pop()
            if stack in seen:
                continue
            seen.add(stack)
            if not stack or stack[0][0] == "set":
                found.add(stack)
            else:
                pending += [(*option, *stack[1:]) for option in self._expanded(stack[0])]
        return found

    def _expanded(self, symbol: Any) -> Any:
        if symbol[0] == "rule":
            return self.rules[symbol[1]]
        if symbol[0] == "group":
            return symbol[1]
        _, part, low, high = symbol
        if low:
            return [(part, ("repeat", part, low - 1, None if high is None else high - 1))]
        again = ("repeat", part, 0, None if high is None else high - 1)
        return [()] if high == 0 else [(), (part, again)]


def _counts(token: str) -> tuple[int, int | None]:
    if token in "*+?":
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[token]
    low, comma, high = token[1:-1].partition(",")
    return int(low), int(high) if high else None if comma else int(low)


def _symbols(token: str) -> list[Any]:
    if token[0] == '"':
        return [("set", False, ((code, code),)) for code in _codes(token[1:-1])]
    if token[0] == "[":
        negated = token[1] == "^"
        return [("set", negated, _ranges(token[2 if negated else 1 : -1]))]
    return [("rule", token)]


def _codes(text: str) -> list[int]:
    return [ord(one) for one in ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)]


def _ranges(text: str) -> tuple[tuple[int, int], ...]:
    single = r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|[^\\]"
    parts = re.findall(rf"({single})(?:-({single}))?", text)
    return tuple((_codes(low)[0], _codes(high or low)[0]) for low, high in parts)


def _fits(symbol: Any, code: int) -> bool:
    _, negated, ranges = symbol
    return any(low <= code <= high for low, high in ranges) != negated
