"""Whose work an engine's step was."""

from __future__ import annotations

from collections.abc import Collection

from penstock.scheduling.continuous.job import Job

PROMPT_CHUNK = 64
"""Tokens of a long prompt that one step reads while others generate, roughly."""
PROMPT_TOKEN = 0.4
"""What a prompt's token costs, against 1 for a generated one: 950 and 375 tokens a second, measured on the CPU engine
with 16 sequences."""


def share(compute_s: float, jobs: Collection[Job]) -> None:
    """Adds a step's seconds to the jobs that it worked for. One that generates counts a token for each of its answers;
    one whose prompt is being read, the tokens of a step's part of it."""
    weights = [_weight(job) for job in jobs]
    total = sum(weights)
    if not total or compute_s <= 0:
        return
    for job, weight in zip(jobs, weights, strict=True):
        job.busy_s += compute_s * weight / total


def _weight(job: Job) -> float:
    if job.first and not job.generation.count_only:
        return float(job.places)
    return PROMPT_TOKEN * min(job.prompt, PROMPT_CHUNK) or 1.0
