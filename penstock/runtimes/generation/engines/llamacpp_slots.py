"""Which part of the key-value cache a sequence gets, and how much of its prompt is known there already."""

from __future__ import annotations

from itertools import count

from penstock.runtimes.generation.engines.llamacpp_network import Network

WORTH = 32
"""Tokens in common that make copying a cache better than computing them."""


class Slot:
    """A sequence's stretch of the cache. `tokens`: what it knows, computed with `adapter`; it stays when the sequence
    has ended, for the next that begins alike. `used`: when it was last given away."""

    def __init__(self, number: int):
        self.number = number
        self.tokens: list[int] = []
        self.adapter = ""
        self.taken = False
        self.used = 0


class Slots:
    """All slots of a network. `caching`: prompts are looked up in what earlier ones left."""

    def __init__(self, network: Network, caching: bool):
        self._network = network
        self._caching = caching
        self._slots = [Slot(number) for number in range(network.size.sequences)]
        self._clock = count(1)

    @property
    def free(self) -> bool:
        """Whether a sequence can get one."""
        return not all(slot.taken for slot in self._slots)

    @property
    def tokens(self) -> int:
        """Tokens that running sequences have in the cache."""
        return sum(len(slot.tokens) for slot in self._slots if slot.taken)

    def take(self, prompt: list[int], adapter: str) -> Slot:
        """Gives a slot to a sequence; its `tokens` are the part of the prompt that need not be computed: never the last
        token, whose logits are wanted."""
        source, known = self._source(prompt, adapter)
        slot = self._place(source, known)
        if source is not None and slot is not source:
            self._network.copy(source.number, slot.number)
            slot.tokens = list(source.tokens)
        self.keep(slot, known)
        slot.adapter, slot.taken, slot.used = adapter, True, next(self._clock)
        return slot

    def keep(self, slot: Slot, length: int) -> None:
        """Forgets what a slot knows after `length` tokens."""
        if length < len(slot.tokens) or not length:
            slot.tokens = slot.tokens[:length] if self._network.keep(slot.number, length) else []

    def leave(self, slot: Slot) -> None:
        """Takes the slot back; what it knows stays."""
        slot.taken = False

    def _source(self, prompt: list[int], adapter: str) -> tuple[Slot | None, int]:
        """The slot that knows most of the prompt, and how much of it."""
        if not self._caching:
            return None, 0
        known = [(self._known(slot, prompt), not slot.taken, slot) for slot in self._slots if slot.adapter == adapter]
        length, _, slot = max(known, key=lambda entry: entry[:2], default=(0, False, None))
        return (slot, length) if length else (None, 0)

    def _known(self, slot: Slot, prompt: list[int]) -> int:
        length = common(slot.tokens, prompt[:-1])
        if self._network.can_roll_back:
            return length
        return length if length == len(slot.tokens) and not slot.taken else 0

    def _place(self, source: Slot | None, known: int) -> Slot:
        """The source itself where little that others may want gets lost, else the slot unused for longest."""
        free = [slot for slot in self._slots if not slot.taken]
        oldest = min(free, key=lambda slot: slot.used)
        if source is None:
            return oldest
        lost = len(source.tokens) - known
        if source in free and (lost <= known or known < WORTH or not self._network.can_roll_back):
            return source
        return oldest


def common(first: list[int], second: list[int]) -> int:
    """How many tokens two sequences have in common from the beginning."""
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(at for at in range(length) if first[at] != second[at])
