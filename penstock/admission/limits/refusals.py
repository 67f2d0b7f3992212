"""What a caller over a limit is told."""

from __future__ import annotations

import math

from penstock.admission.limits.allowance import Short
from penstock.admission.limits.claim import Claim
from penstock.core.errors import BudgetSpent, PenstockError, QuotaExceeded, TooLarge
from penstock.core.quota import Quota


def refusal(short: Short, claim: Claim, quotas: tuple[Quota, ...]) -> PenstockError:
    """The error for a request that may not come in; 413 for one that never may, because it alone is too large."""
    if short.never and short.name != "cost":
        return _too_large(short, claim)
    wait_s = float(math.ceil(short.wait_s))
    kind = BudgetSpent if short.name.startswith("budget") and not short.held else QuotaExceeded
    error = kind(_says(short, claim, wait_s), retry_after_s=wait_s)
    error.quotas = quotas
    return error


def _says(short: Short, claim: Claim, wait_s: float) -> str:
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
    return _of_budget(short, claim, wait_s)


def _of_budget(short: Short, claim: Claim, wait_s: float) -> str:
    whose, settings = short.whose.label, short.whose.settings
    day = short.name == "budget-day"
    limit = settings.budget_per_day if day else settings.budget_per_month
    period = "day" if day else "month"
    begins = f"the next {period} begins in {_duration(wait_s)}"
    if not short.left:
        return f"{whose}: the budget of {limit:g} USD for this {period} is used up; {begins}"
    left = f"{whose}: {short.left:.3g} of {limit:g} USD for this {period} are left, and this request may cost"
    if short.held:
        return f"{left} {claim.cost:.3g} besides those under way; wait until these have ended, or ask for less"
    return f"{left} {claim.cost:.3g}; ask for less, or wait: {begins}"


def _too_large(short: Short, claim: Claim) -> TooLarge:
    whose, most = short.whose.label, _most(short)
    if short.name != "tokens":
        return TooLarge(f"{whose}: at most {most} prompts may come at once, not {claim.requests}; send fewer")
    return TooLarge(
        f"{whose}: at most {most} tokens are allowed at once, and the prompt takes about {claim.prompt:.0f}; "
        "send less of it"
    )


def _most(short: Short) -> int:
    """What the limit ever gives at once."""
    whose = short.whose
    if short.name == "concurrency":
        return whose.concurrency or 0
    rate = whose.tokens if short.name == "tokens" else whose.requests
    return 0 if rate is None else math.floor(rate.at_once + 1e-6)


def _duration(seconds: float) -> str:
    """For people: the largest unit that says it well."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{seconds:.0f} s"
