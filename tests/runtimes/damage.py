"""Loads damaged copies of a model file, in a process of its own: native parsers may crash.

    python -m tests.runtimes.damage RUNTIME FORMAT FILE FIRST LAST

Prints two lines per copy: COPY and its number; SAID and "loaded", the class of our error, or "OTHER ...".
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from pathlib import Path

from penstock.core.errors import PenstockError
from penstock.core.model import ModelSpec
from penstock.runtimes import registry


def damaged(data: bytes, number: int) -> bytes:
    """One of many copies: cut somewhere, or with some bits flipped."""
    chance = random.Random(number)
    if number % 2:
        return data[: chance.randrange(len(data))]
    copy = bytearray(data)
    for _ in range(chance.choice((1, 3, 20))):
        copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
    return bytes(copy)


def outcome(spec: ModelSpec) -> str:
    """What loading says."""
    try:
        registry.create(spec.runtime).load(spec)
    except PenstockError as error:
        return type(error).__name__
    except Exception as error:
        return f"OTHER {type(error).__name__}: {str(error)[:200]!r}"
    return "loaded"


def main(runtime: str, format: str, file: str, first: str, last: str) -> None:
    """Tries a range of copies."""
    warnings.simplefilter("ignore")
    data = Path(file).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for number in range(int(first), int(last)):
            path.write_bytes(damaged(data, number))
            print(f"COPY {number}", flush=True)
            print(f"SAID {outcome(ModelSpec(name='m', runtime=runtime, path=str(path), format=format))}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
