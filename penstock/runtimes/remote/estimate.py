"""How many tokens texts are, where no provider says it."""

from __future__ import annotations

from penstock.core.generation import Generation

TOKENS_PER_CHARACTER = 0.3
PER_MESSAGE = 4
"""Tokens that frame a message."""


def tokens_of(characters: int) -> int:
    """Tokens of so many characters."""
    return int(characters * TOKENS_PER_CHARACTER + 0.5)


def prompt_tokens(generation: Generation) -> int:
    """Tokens of a prompt: its messages and the tools that go with it."""
    prompt = generation.prompt
    if isinstance(prompt, tuple):
        return len(prompt)
    if prompt is not None:
        return max(1, tokens_of(len(prompt)))
    size = 0
    for message in generation.messages:
        size += len(message.content)
        for call in message.calls:
            size += len(call.name) + len(call.arguments)
    for tool in generation.tools:
        size += len(tool.name) + len(tool.description) + len(str(tool.parameters))
    return tokens_of(size) + PER_MESSAGE * len(generation.messages)
