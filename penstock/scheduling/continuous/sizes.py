"""How long a prompt is in tokens, before any tokenizer saw it: bytes times a ratio that learns from exact counts."""

from __future__ import annotations

START_RATIO = 0.3
WEIGHT = 0.05


class PromptMeter:
    """The ratio of one model's tokens to bytes of a request as it crosses to the worker: an exponential average, so
    that it follows the traffic. Prompts of token ids are known exactly and teach nothing."""

    def __init__(self) -> None:
        self.ratio = START_RATIO

    def estimate(self, nbytes: int) -> int:
        """Tokens of the prompt of a request of so many bytes."""
        return max(1, int(nbytes * self.ratio))

    def learn(self, nbytes: int, tokens: int) -> None:
        """Corrects the ratio by an exact count."""
        if nbytes:
            self.ratio += WEIGHT * (min(2.0, tokens / nbytes) - self.ratio)
