"""Requests that killed two workers, remembered by what they carry, so that they never run again."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict

import msgspec

from penstock.core.generation import Generation
from penstock.core.tensors import Tensors, to_raw

CAPACITY = 1024
SUSPICION_S = 600.0
"""Two workers that died within this time over the same request, sent twice and run alone, convict it."""


def fingerprint(payload: Tensors | Generation) -> bytes:
    """A digest of names, datatypes, shapes and values; of generated text, of everything that was asked for."""
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(payload, Generation):
        digest.update(msgspec.msgpack.encode(payload))
        return digest.digest()
    tensors = payload
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, tensor.datatype, tensor.array.shape)).encode())
        digest.update(to_raw(tensor))
    return digest.digest()


class Quarantine:
    """The last `CAPACITY` fatal requests of one deployment."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._suspects: OrderedDict[bytes, float] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._known)

    def add(self, payload: Tensors | Generation) -> None:
        """Remembers a fatal request, forgetting the oldest over capacity."""
        self._known[fingerprint(payload)] = None
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)

    def blame(self, payload: Tensors | Generation, now: float) -> None:
        """A worker died while it ran this alone, though its sender may have given up (it hung).

        Without this, a request that hangs would always time out before it is found guilty.
        """
        if now - self._suspects.pop(mark := fingerprint(payload), -math.inf) <= SUSPICION_S:
            self.add(payload)
            return
        self._suspects[mark] = now
        if len(self._suspects) > CAPACITY:
            self._suspects.popitem(last=False)

    def __contains__(self, payload: Tensors | Generation) -> bool:
        return bool(self._known) and fingerprint(payload) in self._known
