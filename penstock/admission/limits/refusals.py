"""What a caller over a limit is told."""

from __future__ import annotations

import math

from penstock.admission.limits.allowance import Allowance, Short
from penstock.admission.limits.claim import Claim
from penstock.core.errors import BudgetSpent, PenstockError, QuotaExceeded, TooLarge
from penstock.core.quota import Quota


def refusal(short: Short, claim: Claim, quotas: tuple[Quota, ...]) -> PenstockError:
    """The error for a request that may not come in; 413 for one that never may, because it alone is too large."""
    if short.never and short.name == "tokens":
        return _too_large(short.whose, claim)
    wait_s = float(math.ceil(short.wait_s))
    kind = BudgetSpent if short.name.startswith("budget") else QuotaExceeded
    error = kind(_says(short, wait_s), retry_after_s=wait_s)
    error.quotas = quotas
    return error


def _says(short: Short, wait_s: float) -> str:
    whose, settings = short.whose.label, short.whose.settings
    again = f"try again in {_duration(wait_s)}"
    if short.name == "concurrency":
        return f"{whose}: {settings.concurrency} requests may be under way at once; wait until one has ended"
    if short.name == "requests":
        return f"{whose}: {settings.requests_per_minute:g} requests per minute are allowed; {again}"
    if short.name == "tokens":
        return f"{whose}: {settings.tokens_per_minute:g} tokens per minute are allowed; {again}"
    if short.name == "cost":
        return f"{whose}: {settings.cost_per_minute:g} USD per minute are allowed; {again}"
    day = short.name == "budget-day"
    limit = settings.budget_per_day if day else settings.budget_per_month
    period = "day" if day else "month"
    begins = f"the next {period} begins in {_duration(wait_s)}"
    return f"{whose}: the budget of {limit:g} USD for this {period} is used up; {begins}"


def _too_large(whose: Allowance, claim: Claim) -> TooLarge:
    most = 0 if whose.tokens is None else whose.tokens.at_once
    return TooLarge(
        f"{whose.label}: at most {most:.0f} tokens are allowed at once, and the prompt takes about {claim.prompt:.0f}; "
        "send less of it"
    )


def _duration(seconds: float) -> str:
    """For people: the largest unit that says it well."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{seconds:.0f} s"
