"""Log-probabilities as clients see them."""

from __future__ import annotations


def shown(logprob: float) -> float:
    """A log-probability with 7 significant digits: models compute in 32 bits at most, and the rest would be noise."""
    return float(f"{logprob:.7g}")
