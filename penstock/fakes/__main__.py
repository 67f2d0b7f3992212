"""python -m penstock.fakes [PROVIDER]: a fake provider, to try routes and failures by hand, and for measuring."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading

from penstock.fakes.plans import Plan
from penstock.fakes.server import FakeServer

FAKES = {
    "openai": "FakeOpenAI",
    "anthropic": "FakeAnthropic",
    "gemini": "FakeGemini",
    "cohere": "FakeCohere",
    "bedrock": "FakeBedrock",
}


def main() -> None:
    """Serves until it is asked to stop."""
    parser = argparse.ArgumentParser(prog="python -m penstock.fakes", description=__doc__)
    parser.add_argument("provider", nargs="?", default="openai", choices=FAKES)
    parser.add_argument("--port", type=int, default=0, help="the port (default: any that is free)")
    parser.add_argument("--wait-ms", type=float, default=0, help="before every answer")
    parser.add_argument("--gap-ms", type=float, default=0, help="before every piece of a streamed answer")
    chosen = parser.parse_args()
    kind: type[FakeServer] = getattr(
        importlib.import_module(f"penstock.fakes.{chosen.provider}"), FAKES[chosen.provider]
    )
    fake = kind(chosen.port)
    if chosen.wait_ms or chosen.gap_ms:
        fake.plan = Plan(wait_s=chosen.wait_ms / 1000, gap_s=chosen.gap_ms / 1000)
    fake.remember = 1000
    over = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: over.set())
    with fake:
        print(fake.url, flush=True)
        if fake.takes:
            print(f"it takes {fake.takes}", file=sys.stderr, flush=True)
        over.wait()


if __name__ == "__main__":
    main()
