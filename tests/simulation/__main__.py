"""`python -m tests.simulation --seeds N [--first S]`: many seeds; stops at the first violation with its trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.streams import play
from tests.simulation.world import simulate, told

PROGRESS_S = 5.0


def main() -> int:
    """Entry point: 0 when nothing broke, 1 otherwise."""
    options = _options()
    seen: Counter[str] = Counter()
    started = shown = time.perf_counter()
    for done in range(options.seeds):
        seed = options.first + done
        try:
            world = simulate(seed)
            streams = play(seed)
        except Exception as error:
            return _report(seed, error)
        seen += world.seen + Counter({f"streams {what}": count for what, count in streams.seen.items()})
        if options.trace:
            print(told(world))
        now = time.perf_counter()
        if now - shown >= PROGRESS_S:
            shown = now
            print(f"{done + 1:>7} seeds, {(done + 1) / (now - started):.0f} seeds/s", flush=True)
    took = time.perf_counter() - started
    print(f"{options.seeds} seeds from {options.first}: no violation, {options.seeds / took:.0f} seeds/s, {took:.1f} s")
    print("  ".join(f"{what}: {count}" for what, count in seen.most_common()))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trace", action="store_true", help="print every seed's last events")
    return parser.parse_args()


def _report(seed: int, error: Exception) -> int:
    print(*getattr(error, "__notes__", ()), sep="\n")
    print(f"\nseed {seed}: {type(error).__name__}: {error}")
    print(f"again: python -m tests.simulation --first {seed} --seeds 1")
    return 1


if __name__ == "__main__":
    sys.exit(main())
