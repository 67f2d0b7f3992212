"""The store of rows: least recently used first, never over its bytes, and its bytes are real memory."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.tensors import Tensor
from penstock.routing.layout import Layout, Row, form_of
from penstock.routing.store import Store, size_of
from penstock.telemetry.caching import CacheCounts

OUTPUTS = {"y": Tensor("FP32", np.zeros((1, 4), np.float32))}
MEMORY = """
import random, sys
import numpy as np
from penstock.core.tensors import Tensor, object_array
from penstock.routing.layout import Layout, form_of
from penstock.routing.store import Store
from penstock.telemetry.caching import CacheCounts

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

def outputs(i):
    vector = Tensor("FP32", np.full((1, WIDTH), i, np.float32))
    return {"v": vector, "t": Tensor("BYTES", object_array([b"%d" % i * 5], (1,)))} if TEXT else {"v": vector}

WIDTH, TEXT, MB = map(int, sys.argv[1:])
chance, layout, store = random.Random(0), Layout(form_of(outputs(0)), CacheCounts()), Store(MB * 2**20)
before = resident()
i = full = 0
while full < 3 * len(store) + 1:
    store.keep(b"=12345678" + b"%d" % i * chance.randint(1, 12), layout.split(outputs(i), 1)[0])
    i += 1
    full += layout.counts.evictions > 0
print((resident() - before) / store.bytes)
"""


def row(counts: CacheCounts, number: int = 0, texts: tuple[bytes, ...] = ()) -> Row:
    return Row(Layout(form_of(OUTPUTS), counts), number.to_bytes(16, "little"), texts)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 600)), max_size=80), st.integers(300, 3000))
def test_it_is_an_lru_of_bytes(steps: list[tuple[bool, int, int]], capacity: int) -> None:
    """The same as a slow and plain model of it, after every step."""
    store, counts = Store(capacity), CacheCounts()
    plain: OrderedDict[bytes, Row] = OrderedDict()
    for keeps, number, length in steps:
        key = b"key %d" % number
        if keeps:
            new = row(counts, number, (b"x" * length,))
            fits = size_of(key, new) <= capacity
            assert store.keep(key, new) == fits
            if fits:
                plain.pop(key, None)
                plain[key] = new
                while sum(size_of(*item) for item in plain.items()) > capacity:
                    plain.popitem(last=False)
        else:
            assert store.find([key]) == [plain.get(key)]
            if key in plain:
                plain.move_to_end(key)
        assert list(store._rows.items()) == list(plain.items())
        assert store.bytes == counts.bytes == sum(size_of(*item) for item in plain.items()) <= capacity
        assert len(store) == counts.items == len(plain)


def test_evictions_are_counted_where_the_row_came_from() -> None:
    old, new = CacheCounts(), CacheCounts()
    store = Store(2 * size_of(b"1", row(old)))
    for key in (b"1", b"2"):
        store.keep(key, row(old))
    store.keep(b"3", row(new))
    assert (old.evictions, old.items, new.evictions, new.items) == (1, 1, 0, 1)
    assert store.find([b"1", b"2", b"3"])[0] is None


def test_a_row_that_is_kept_again_is_no_eviction() -> None:
    counts, store = CacheCounts(), Store(10_000)
    store.keep(b"1", row(counts, 1))
    store.keep(b"1", row(counts, 2))
    assert (counts.items, counts.evictions) == (1, 0)
    (found,) = store.find([b"1"])
    assert found is not None
    assert found.numbers[0] == 2


@pytest.mark.parametrize(("width", "text", "mb"), [(384, 0, 24), (1, 0, 12), (16, 1, 12)])
def test_the_bytes_are_real_memory(width: int, text: int, mb: int) -> None:
    """What the process takes for a full store, after three times as many rows came and went."""
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, (width, text, mb))], capture_output=True, text=True, check=True
    )
    assert 0.7 < float(ran.stdout) < 1.25
