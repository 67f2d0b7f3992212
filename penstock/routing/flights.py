"""Rows on their way through the model, and who waits for them: none is computed twice at a time. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.core.deadline import Deadline
from penstock.core.errors import BadInput, Cancelled, DeadlineExceeded, PenstockError
from penstock.core.reply import Reply
from penstock.routing.ask import Ask

NOT_THEIRS = (Cancelled, DeadlineExceeded)
"""Errors that a run has from the request it was started for, and never from its rows."""


class Run:
    """Rows that are computed together. `owner`: the request that they were started for, which may have left;
    `asks`: who waits for them; `until`: its own deadline; `reply`: what closes it, once that is known."""

    __slots__ = ("asks", "ended", "keys", "owner", "reply", "until")

    def __init__(self, owner: Ask, until: Deadline):
        self.owner = owner
        self.keys: list[bytes] = []
        self.until = until
        self.asks: dict[Ask, None] = {}
        self.reply: Reply | None = None
        self.ended = False


class Flights:
    """The runs under way, by the keys of their rows."""

    def __init__(self) -> None:
        self._runs: dict[bytes, Run] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def want(self, ask: Ask, keys: Iterable[bytes], until: Deadline) -> Run | None:
        """Waits for the rows that are under way; returns a run of the others, if there are any, to be started."""
        missing, new = ask.missing, None
        for key in keys:
            if key in missing:
                continue
            run = self._runs.get(key)
            if run is None:
                run = new = new or Run(ask, until)
                new.keys.append(key)
                self._runs[key] = new
                ask.owned += 1
            run.asks[ask] = None
            missing[key] = run
        return new

    def end(self, run: Run) -> list[Ask]:
        """A run is over: returns who waited for it, in the order they came; nobody, when it was over before."""
        if run.ended:
            return []
        run.ended = True
        for key in run.keys:
            del self._runs[key]
        asks = list(run.asks)
        run.asks.clear()
        return asks

    def leave(self, ask: Ask) -> list[Run]:
        """A request waits no longer: returns the runs that nobody waits for now; they are over."""
        left = []
        for run in dict.fromkeys(ask.missing.values()):
            run.asks.pop(ask, None)
            if not (run.asks or run.ended):
                self.end(run)
                left.append(run)
        ask.missing.clear()
        return left


def verdict(run: Run, ask: Ask, error: PenstockError, now: float) -> PenstockError | None:
    """The error that a failed run means for one who waited for it; None: it must run its rows by itself.

    An error may be about rows that others do not have, or about the owner's time. A run that held nothing but
    rows of theirs fails them as it would have failed by itself.
    """
    wrong = _wrong_row(run, error)
    if wrong is not None and wrong in ask.keys:
        return _renumbered(error, ask.keys.index(wrong), len(ask.keys))
    if ask is run.owner:
        return error
    if wrong is None and not isinstance(error, NOT_THEIRS) and set(ask.keys).issuperset(run.keys):
        return error
    return too_late() if ask.deadline <= now else None


def too_late() -> DeadlineExceeded:
    """The error of a request whose time has passed."""
    return DeadlineExceeded("the request was not answered within its time; allow more, or send less")


def _wrong_row(run: Run, error: PenstockError) -> bytes | None:
    """The key of the row that the error names."""
    row = error.row if isinstance(error, BadInput) else None
    return run.keys[row] if row is not None and 0 <= row < len(run.keys) else None


def _renumbered(error: PenstockError, row: int, rows: int) -> BadInput:
    """The same refusal, with the number that the row has in this request."""
    assert isinstance(error, BadInput)
    why = error.message.removeprefix(f"row {error.row}: ")
    renumbered = BadInput(f"row {row}: {why}" if rows > 1 else why, detail=error.detail)
    renumbered.row = row
    return renumbered
