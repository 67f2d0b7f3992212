"""Keys and values of several sequences in one batch, aligned at their last tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import cache_utils

ROOM = 64
"""Tokens that a layer grows by at least."""


class Layer(cache_utils.DynamicLayer):  # type: ignore[misc, no-untyped-call, unused-ignore]
    """One layer's keys and values, [sequences, heads, tokens, size], kept with room for more, so that a step writes one
    token and does not copy all."""

    def __init__(self, keys: Any = None, values: Any = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._room: tuple[Any, Any] | None = None
        if keys is not None:
            self._hold(keys, values)

    def _hold(self, keys: Any, values: Any) -> None:
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Appends, and returns all."""
        held = self.get_seq_length()
        end = held + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < end:
            self._room = (self._roomier(self.keys, key_states, end), self._roomier(self.values, value_states, end))
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, held:end] = new
        self._hold(self._room[0][:, :, :end], self._room[1][:, :, :end])
        return self.keys, self.values

    def _roomier(self, old: Any, new: Any, end: int) -> Any:
        rows, heads, _, size = new.shape
        room = new.new_empty(rows, heads, end + max(ROOM, end // 4), size)
        if old is not None:
            room[:, :, : old.shape[-2]] = old
        return room


def empty() -> Any:
    """The cache of a sequence that begins."""
    return _cache(layer_class_to_replicate=Layer)


def length(cache: Any) -> int:
    """Tokens in a cache, padding included."""
    return int(cache.layers[0].get_seq_length()) if cache.layers else 0


def kept(cache: Any, rows: Sequence[int], cut: int) -> Any:
    """The cache of some of its sequences, without the first `cut` tokens, which are padding for all of them."""
    index = torch.tensor(rows, device=cache.layers[0].keys.device)
    return _cache(layers=[Layer(layer.keys[index, :, cut:], layer.values[index, :, cut:]) for layer in cache.layers])


def joined(caches: Sequence[Any]) -> Any:
    """One cache of all these sequences, padded at the beginning to the longest."""
    longest = max(map(length, caches))
    layers = []
    for same in zip(*(cache.layers for cache in caches), strict=True):
        keys = torch.cat([_padded(layer.keys, longest) for layer in same])
        layers.append(Layer(keys, torch.cat([_padded(layer.values, longest) for layer in same])))
    return _cache(layers=layers)


def _padded(tensor: Any, to: int) -> Any:
    return torch.nn.functional.pad(tensor, (0, 0, to - tensor.shape[-2], 0))


def _cache(**settings: Any) -> Any:
    # Its annotations know no layers but its own.
    kind: Any = cache_utils.Cache
    return kind(**settings)
