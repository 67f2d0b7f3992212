"""How long a prompt is in tokens, before any tokenizer saw it: bytes times a ratio that learns from exact counts."""

from __future__ import annotations

from penstock.core.generation import Generation

START_RATIO = 0.35
WEIGHT = 0.05
TURN_BYTES = 16
"""What a chat template adds around a turn, about."""


class PromptMeter:
    """The ratio of one model's tokens to bytes: an exponential average, so that it follows the traffic."""

    def __init__(self) -> None:
        self.ratio = START_RATIO

    def estimate(self, generation: Generation) -> int:
        """Tokens of the prompt; exact for token ids."""
        if isinstance(generation.prompt, tuple):
            return max(1, len(generation.prompt))
        return max(1, int(prompt_bytes(generation) * self.ratio))

    def learn(self, generation: Generation, tokens: int) -> None:
        """Corrects the ratio by an exact count."""
        size = prompt_bytes(generation)
        if size and not isinstance(generation.prompt, tuple):
            self.ratio += WEIGHT * (min(2.0, tokens / size) - self.ratio)


def prompt_bytes(generation: Generation) -> int:
    """Characters of everything that becomes the prompt, and a little for each turn."""
    size = len(generation.prompt) if isinstance(generation.prompt, str) else 0
    for message in generation.messages:
        size += len(message.content) + len(message.reasoning) + TURN_BYTES
        size += sum(len(call.name) + len(call.arguments) for call in message.calls)
    for tool in generation.tools:
        size += len(tool.name) + len(tool.description) + len(str(tool.parameters))
    return size
