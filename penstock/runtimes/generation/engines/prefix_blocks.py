"""Which blocks of prompts a key-value cache still knows: a copy of OpenVINO GenAI's own books, which it shows nobody.

A block is known by all tokens up to its end. Blocks that no sequence holds stay known until others need their place,
the one unused for longest first. Only whole blocks are counted: the library also finds parts, of up to a block less
one token more.
"""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b
from itertools import count

Key = bytes | tuple[str, int]


class Block:
    """A place in the cache. `used`: when it was last given away or found; `holders`: sequences that use it."""

    __slots__ = ("holders", "key", "used")

    def __init__(self, number: int):
        self.used = (0, number)
        self.holders = 0
        self.key: Key = ("never", number)

    def __lt__(self, other: Block) -> bool:
        return self.used < other.used


class PrefixBlocks:
    """The books of a cache of so many blocks, each of `size` tokens."""

    def __init__(self, blocks: int, size: int):
        self.size = size
        self._free = deque(Block(number) for number in range(blocks))
        self._known: dict[Key, Block] = {}
        self._idle: dict[Key, Block] = {}
        self._held: dict[int, list[Block]] = {}
        self._order: list[tuple[tuple[int, int], Block]] = []
        self._clock = count(1)

    def keys(self, tokens: Sequence[int]) -> list[bytes]:
        """What names each whole block of these tokens: all tokens up to its end, as a digest."""
        packed = array("i", tokens)
        chain, keys = b"", []
        for start in range(0, len(tokens) - self.size + 1, self.size):
            chain = _digest(chain + packed[start : start + self.size].tobytes())
            keys.append(chain)
        return keys

    def cached(self, keys: Sequence[bytes], length: int) -> int:
        """Tokens of a prompt that need no computing: whole known blocks, but never its last token."""
        found = 0
        while found < len(keys) and keys[found] in self._known:
            found += 1
        return min(found * self.size, length - 1)

    def hold(self, owner: int, keys: Sequence[bytes]) -> None:
        """A sequence comes and takes the known blocks of its prompt."""
        held = self._held.setdefault(owner, [])
        for key in keys:
            block = self._known.get(key)
            if block is None:
                return
            if self._idle.get(key) is block:
                del self._idle[key]
            block.holders += 1
            block.used = (1, next(self._clock))
            held.append(block)

    def grow(self, owner: int, keys: Sequence[bytes], length: int) -> None:
        """The sequence is computed up to `length` tokens; `keys` name its whole blocks."""
        held = self._held.setdefault(owner, [])
        needed = -(-length // self.size)
        while len(held) < needed:
            held.append(self._take())
        for block, key in zip(held, keys, strict=False):
            if block.key != key:
                self._name(block, key)

    def release(self, owner: int) -> None:
        """The sequence is gone; what it alone held may be found, or given to others."""
        for block in self._held.pop(owner, []):
            block.holders -= 1
            if not block.holders:
                self._rest(block)

    def _take(self) -> Block:
        """A place for a new block."""
        if self._free:
            block = self._free.popleft()
        elif not self._idle:
            # All places are held, as far as these books go; the library knows better.
            block = Block(0)
        else:
            block = self._oldest()
            self._forget(block)
            block.used = (1, next(self._clock))
        block.holders = 1
        block.key = ("partial", next(self._clock))
        return block

    def _oldest(self) -> Block:
        """Takes the resting block that was unused for longest; there is one. Entries of blocks that were found again
        since they began to rest are passed over."""
        while True:
            used, block = heapq.heappop(self._order)
            if block.used == used and self._idle.get(block.key) is block:
                del self._idle[block.key]
                return block

    def _name(self, block: Block, key: bytes) -> None:
        self._empty(key)
        self._forget(block)
        block.key = key
        self._known[key] = block

    def _forget(self, block: Block) -> None:
        if self._known.get(block.key) is block:
            del self._known[block.key]

    def _rest(self, block: Block) -> None:
        """Keeps a block that nobody holds. One of the same name that rested already is empty space now."""
        self._empty(block.key)
        self._idle[block.key] = block
        heapq.heappush(self._order, (block.used, block))

    def _empty(self, key: Key) -> None:
        """A block that rests under this name is empty space."""
        older = self._idle.pop(key, None)
        if older is not None:
            self._forget(older)
            self._free.append(older)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()
