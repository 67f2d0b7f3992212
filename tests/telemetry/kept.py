"""What is written down, in memory."""

from __future__ import annotations

from penstock.core.ledger import Entry, Feedback


class Kept:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.scores: list[Feedback] = []

    def record(self, entry: Entry) -> None:
        self.entries.append(entry)

    def feedback(self, feedback: Feedback) -> None:
        self.scores.append(feedback)
