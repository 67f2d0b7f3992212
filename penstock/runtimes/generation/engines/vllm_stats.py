"""vLLM's own figures, taken where its scheduler reports them."""

from __future__ import annotations

from typing import Any

from penstock.core.generation import EngineStats


class Figures:
    """Gets every step's report, as one of vLLM's loggers. Totals are summed here: its reports are of single steps."""

    def __init__(self) -> None:
        self.preemptions = self.queries = self.hits = 0
        self.running = self.waiting = 0
        self.usage = 0.0

    def __call__(self, config: Any, engine_index: int = 0) -> Figures:
        """vLLM makes its loggers by a call; this one is made already, for all its engines."""
        return self

    def record(self, scheduler_stats: Any, iteration_stats: Any, *_: Any, **__: Any) -> None:
        """A step's report."""
        if scheduler_stats is not None:
            self.running = scheduler_stats.num_running_reqs
            self.waiting = scheduler_stats.num_waiting_reqs + getattr(scheduler_stats, "num_skipped_waiting_reqs", 0)
            self.usage = scheduler_stats.kv_cache_usage
            self.queries += scheduler_stats.prefix_cache_stats.queries
            self.hits += scheduler_stats.prefix_cache_stats.hits
        if iteration_stats is not None:
            self.preemptions += iteration_stats.num_preempted_reqs

    def log_engine_initialized(self) -> None:
        """Nothing to say."""

    def log(self) -> None:
        """Nothing to say."""

    def record_sleep_state(self, *_: Any) -> None:
        """It never sleeps."""

    def stats(self, unfinished: int) -> EngineStats:
        """The present state; `unfinished` sequences are known to the engine, reported or not."""
        running = min(self.running, unfinished)
        usage = self.usage if unfinished else 0.0
        return EngineStats(running, unfinished - running, usage, self.queries, self.hits, self.preemptions)
