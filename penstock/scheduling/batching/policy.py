"""What a batching policy is, and the settings that choose one."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from penstock.core.errors import ConfigError
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.work import Work

DEFAULT_ROWS = 64
CPU_TOKENS = 2048
"""A CPU core is busy from some hundred tokens on; more only makes others wait."""
CUDA_TOKENS = 32_768


class BatchingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How requests become batches."""

    policy: Literal["dynamic", "static", "none"] = "dynamic"
    """dynamic: whatever waits when a worker is free; static: wait for a full batch; none: one request at a time."""
    max_size: int | None = None
    """Rows in a batch at most; larger requests are split (default 64; text models go by max_tokens alone)."""
    max_tokens: int | None = None
    """Tokens in a batch of a text model at most (default 2048 on a CPU, 32768 on a GPU)."""
    max_wait_ms: float | None = None
    """How long a request may wait for company while a worker is free (dynamic: 0, static: 1000)."""
    buckets: tuple[int, ...] = ()
    """Batch sizes to pad up to (by repeating the last row), for runtimes that like few shapes."""

    def check(self) -> None:
        """Raises `ConfigError` for settings that contradict each other."""
        if self.max_size is not None and self.max_size < 1:
            raise ConfigError("batching.max_size must be at least 1")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError("batching.max_tokens must be at least 1")
        if self.max_wait_ms is not None and not 0 <= self.max_wait_ms <= 3_600_000:
            raise ConfigError("batching.max_wait_ms must be between 0 and 3600000")
        if self.max_wait_ms is not None and self.policy == "none":
            raise ConfigError(
                "batching.max_wait_ms has no effect with policy: none, which waits for nobody; leave it out"
            )
        if any(size < 1 for size in self.buckets) or list(self.buckets) != sorted(set(self.buckets)):
            raise ConfigError("batching.buckets must be growing positive sizes, such as [1, 4, 16, 64]")
        if self.buckets and self.buckets[-1] < self.max_rows:
            raise ConfigError(f"batching.buckets must end at or above max_size ({self.max_rows})")

    @property
    def max_rows(self) -> int:
        """Rows in a batch at most, where rows are what counts."""
        return DEFAULT_ROWS if self.max_size is None else self.max_size

    def token_budget(self, device: str) -> int:
        """Tokens in a batch at most, on a device."""
        return self.max_tokens or (CUDA_TOKENS if device.startswith("cuda") else CPU_TOKENS)

    def padded(self, rows: int) -> int:
        """The smallest bucket that holds `rows`; `rows` itself without buckets."""
        return next((size for size in self.buckets if size >= rows), rows)


class Batcher(Protocol):
    """Decides what a free worker runs next."""

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        """Takes a batch out of the queue or, when it is better to wait, returns the moment to ask
        again (infinity: when something arrives). `hurry`: do not wait, the server is draining.
        Called only while a worker is free."""
