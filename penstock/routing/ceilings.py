"""Which candidates may be asked at all: hard ceilings of the route, then wishes of the caller. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from penstock.core.errors import BadInput, Overloaded, PenstockError, Unavailable
from penstock.routing.policies.contract import Candidate, Signals
from penstock.routing.settings import CeilingSettings

Fits = Callable[[Candidate], bool]


def awake(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those that are ready and were not left out; of nobody such, all: everything left out never happens."""
    good = [candidate for candidate in candidates if candidate.ready and not candidate.ejected]
    return good or [candidate for candidate in candidates if candidate.ready] or candidates


def within(candidates: Sequence[Candidate], signals: Signals, ceilings: CeilingSettings) -> list[Candidate]:
    """Those under all ceilings. Raises what the ceiling that leaves nobody has to say."""
    size = signals.prompt_tokens + signals.answer_tokens
    # Where nobody has room for it, the model's own refusal names both numbers.
    left = [candidate for candidate in candidates if not candidate.context or size <= candidate.context] or candidates
    for fits, error in _ceilings(ceilings):
        left = [candidate for candidate in left if fits(candidate)]
        if not left:
            raise error
    return list(left)


def wished(candidates: Sequence[Candidate], signals: Signals) -> tuple[Sequence[Candidate], str]:
    """Those that the caller's wishes leave, one wish after the other; one that leaves nobody is dropped, and named."""
    missed = []
    for what, fits in _wishes(signals):
        left = [candidate for candidate in candidates if fits(candidate)]
        if not left:
            missed.append(what)
        candidates = left or candidates
    return candidates, " and ".join(missed)


def _wishes(signals: Signals) -> Iterator[tuple[str, Fits]]:
    if (budget := signals.budget) is not None:
        yield "within the budget", lambda candidate: candidate.cost <= budget
    if (latency_s := signals.max_latency_s) is not None:
        yield "fast enough", lambda candidate: (candidate.latency_s or 0.0) <= latency_s
    if (quality := signals.quality) is not None:
        yield "good enough", lambda candidate: candidate.quality >= quality


def _ceilings(ceilings: CeilingSettings) -> Iterator[tuple[Fits, PenstockError]]:
    if (cost := ceilings.cost) is not None:
        says = f"no model of this route is expected to answer for at most {cost:g} USD; ask for a shorter answer"
        yield lambda candidate: candidate.cost <= cost, BadInput(says)
    if (load := ceilings.load) is not None:
        busy = Overloaded("all models of this route are busy; try again shortly")
        yield lambda candidate: candidate.busy <= load, busy
    if (latency_ms := ceilings.latency_ms) is not None:
        slow = Unavailable(f"no model of this route answers within {latency_ms:g} ms at present; try again later")
        yield lambda candidate: (candidate.latency_s or 0.0) * 1000 <= latency_ms, slow
