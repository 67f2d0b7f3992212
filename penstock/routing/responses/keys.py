"""The key of a request: one digest of everything that its answer may depend on. Pure.

It covers the route's identity (`identity.py`), the tenant (unless tenants share), the whole payload (a text's messages,
sampling, tools, format, adapter and so on; tensors by name, type, shape and content), the outputs and the version that
are wanted, what the caller wishes of the route, and the quality that its session has reached. Every part tells its own
length, so different requests never run together into equal bytes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from penstock.core.generation import Generation
from penstock.core.request import Hints, Request
from penstock.core.tensors import Tensors, to_raw

LARGEST = 4 * 2**20
"""Bytes of a payload over which a request is not looked up: its digest would hold others up."""
GREEDY = 1e-5
"""Temperatures under it take the likeliest token each time."""
_encode = msgspec.msgpack.Encoder().encode
_NOTHING = Hints()


def key_of(identity: bytes, request: Request, *, shared: bool, floor: float) -> bytes | None:
    """32 bytes; None for a request that is too large. `shared`: the same for all tenants; `floor`: the least quality
    that the caller is to get."""
    payload = request.payload
    said = ("text", payload) if isinstance(payload, Generation) else ("tensors", _described(payload))
    tenant = None if shared else (request.tenant,)
    try:
        head = _encode((tenant, _wishes(request), floor, said))
    except UnicodeEncodeError:
        return None
    if len(head) > LARGEST:
        return None
    digest = hashlib.sha256(identity + head)
    return digest.digest() if isinstance(payload, Generation) else _with_content(digest, payload)


def repeatable(request: Request) -> bool:
    """Whether asking again would give the same answer: chance has no part in it, or always the same."""
    payload = request.payload
    if not isinstance(payload, Generation) or payload.count_only:
        return True
    sampling = payload.sampling
    greedy = sampling.temperature is not None and sampling.temperature < GREEDY
    return greedy or sampling.seed is not None or sampling.top_k == 1


def _wishes(request: Request) -> tuple[Any, ...]:
    """What else has a say in who answers, and with what."""
    hints = request.hints or _NOTHING
    return request.version, request.outputs, hints.pin, hints.budget, hints.quality, hints.max_latency_s


def _described(tensors: Tensors) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(name, tensors[name].datatype, tensors[name].array.shape) for name in sorted(tensors)]


def _with_content(digest: Any, tensors: Tensors) -> bytes | None:
    if sum(tensor.array.nbytes for tensor in tensors.values()) > LARGEST:
        return None
    size = 0
    for name in sorted(tensors):
        raw = to_raw(tensors[name])
        size += len(raw)
        if size > LARGEST:
            return None
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    found: bytes = digest.digest()
    return found
