"""How far a download is, told twice a second on the stream of answers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import msgspec

from penstock.repository.hub import blobs
from penstock.repository.hub.listing import Entry, Listing
from penstock.repository.hub.messages import Progress

PERIOD_S = 0.5
_look: Callable[[], Progress] | None = None


def watch(listing: Listing, entry: Entry, entries: Sequence[Entry]) -> None:
    """From now on an entry is fetched, which is one of several."""
    global _look
    total = sum(each.size for each in entries)

    def look() -> Progress:
        missing = sum(blobs.missing_bytes(listing, each) for each in entries)
        return Progress(entry.name, total - missing, total)

    _look = look


def watch_no_more() -> None:
    """Nothing is fetched any more."""
    global _look
    _look = None


@contextlib.contextmanager
def telling(out: BinaryIO, wanted: bool) -> Iterator[None]:
    """Writes a line of `Progress` now and then while something is fetched, be there news or not: whoever reads may wish
    to give it up."""
    if not wanted:
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(out, done), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(out: BinaryIO, done: threading.Event) -> None:
    while not done.wait(PERIOD_S):
        progress = _seen()
        if progress is not None:
            out.write(msgspec.json.encode(progress) + b"\n")
            out.flush()


def _seen() -> Progress | None:
    """How far it is; None when nothing is fetched, or files change places this very moment."""
    look = _look
    try:
        return None if look is None else look()
    except OSError:
        return None
