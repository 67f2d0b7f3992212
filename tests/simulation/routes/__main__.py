"""`python -m tests.simulation.routes --seeds N [--first S]`: many seeds; stops at the first violation."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.routes.world import simulate


def main() -> int:
    """Entry point: 0 when nothing broke, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.routes", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    began = time.perf_counter()
    for seed in range(options.first, options.first + options.seeds):
        try:
            seen += simulate(seed).seen
        except Exception as error:
            print(f"seed {seed}: {type(error).__name__}: {error}")
            print(f"again: python -m tests.simulation.routes --first {seed} --seeds 1")
            return 1
    took = time.perf_counter() - began
    print(f"{options.seeds} seeds from {options.first}: no violation, {options.seeds / took:.0f} seeds/s, {took:.1f} s")
    print("  ".join(f"{what}: {count}" for what, count in seen.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
