"""The settings of one deployment, each with its sentence."""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.core.errors import ConfigError
from penstock.scheduling.batching.policy import BatchingSettings
from penstock.scheduling.continuous.settings import GenerationSettings
from penstock.scheduling.supervision import SupervisionSettings


class DeploymentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one model version is run."""

    batching: BatchingSettings = BatchingSettings()
    """How requests become batches."""
    replicas: int = 1
    """Worker processes."""
    threads: int | None = None
    """Threads of each worker's numeric libraries (default: the cores divided by all workers)."""
    timeout_ms: float = 30_000
    """Time for a request that names none; a batch that runs longer, and longer than any of its requests
    may take, has hung, and its worker is killed."""
    max_timeout_ms: float = 600_000
    """The longest time that a request may ask for."""
    queue_size: int = 1024
    """Requests that may wait; more are refused with 503."""
    pure: bool = True
    """The model has no side effects, so a request whose worker died may run once more."""
    needs: tuple[str, ...] = ()
    """Models of this server that this one calls (at $PENSTOCK_URL): they are loaded before it, and stop after it."""
    placement: Literal["process", "inline"] = "process"
    """process: workers of their own; inline: a thread of the server, without isolation."""
    generation: GenerationSettings = GenerationSettings()
    """How requests wait for a language model (for other models: `queue_size`, `timeout_ms` and `batching`)."""
    supervision: SupervisionSettings = SupervisionSettings()
    """How workers are watched and restarted."""

    def check(self) -> None:
        """Raises `ConfigError` for values out of range."""
        self.batching.check()
        self.generation.check()
        if not 1 <= self.replicas <= 256:
            raise ConfigError("replicas must be between 1 and 256")
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise ConfigError("threads must be between 1 and 1024")
        if not 0 < self.timeout_ms <= 86_400_000:
            raise ConfigError("timeout_ms must be over 0 and at most a day (86400000)")
        if not 0 < self.max_timeout_ms <= 86_400_000:
            raise ConfigError("max_timeout_ms must be over 0 and at most a day (86400000)")
        if not 1 <= self.queue_size <= 1_000_000:
            raise ConfigError("queue_size must be between 1 and 1000000")
