"""How requests wait for a language model."""

from __future__ import annotations

import msgspec

from penstock.core.errors import ConfigError


class GenerationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a deployment that generates text. How many answers are generated at once, and how long they may
    be, are options of the model (`options: {sequences: 16, context: 4096}`)."""

    queue_size: int = 256
    """Requests that may wait; more are refused with 503."""
    queue_tokens: int = 2_000_000
    """Tokens that waiting requests may take, prompts and answers together; more are refused with 503."""
    timeout_ms: float = 600_000
    """Time for a request that names none."""
    max_timeout_ms: float = 3_600_000
    """The longest time that a request may ask for."""
    stall_ms: float = 120_000
    """A worker that has work and says nothing for so long has hung, and is killed."""

    def check(self) -> None:
        """Raises `ConfigError` for values out of range."""
        if not 1 <= self.queue_size <= 1_000_000:
            raise ConfigError("generation.queue_size must be between 1 and 1000000")
        if not 1 <= self.queue_tokens <= 10**12:
            raise ConfigError("generation.queue_tokens must be between 1 and 10^12")
        for name in ("timeout_ms", "max_timeout_ms", "stall_ms"):
            if not 0 < getattr(self, name) <= 86_400_000:
                raise ConfigError(f"generation.{name} must be over 0 and at most a day (86400000)")
