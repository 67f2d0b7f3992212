"""Follows the keys of a database, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from penstock.admission.keys.ring import Held
from penstock.admission.keys.store import KeyStore, Mark
from penstock.core.errors import PenstockError
from penstock.telemetry.logs import logger

log = logger("admission")
USED_EVERY_S = 60.0
"""How often it is noted which keys were used."""


class Follower:
    """Hands the keys to `take` whenever they have changed. `used`: puts the ids of keys into it that were used."""

    def __init__(self, store: KeyStore, refresh_s: float, take: Callable[[list[Held]], None]):
        self.used: set[str] = set()
        self._store = store
        self._refresh_s = refresh_s
        self._take = take
        self._mark: Mark = (0, 0)
        self._noted_at = time.monotonic()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def read(self) -> None:
        """Looks once. Raises as `Database.engine`."""
        if self._store.empty:
            return
        mark = self._store.mark()
        if mark != self._mark:
            self._take(self._store.held())
            self._mark = mark

    def start(self) -> None:
        """Goes on looking."""
        self._over.clear()
        self._thread = threading.Thread(target=self._follow, name="keys", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Looks no more, and notes which keys were used. Waits for the thread."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _follow(self) -> None:
        while not self._over.wait(self._refresh_s):
            self._try(USED_EVERY_S)
        self._try(0.0)

    def _try(self, note_every_s: float) -> None:
        """Says once per outage that it cannot look: the keys that are known stay, and what changes counts later."""
        try:
            self.read()
            self._heard()
            self._note(note_every_s)
        except PenstockError as error:
            if not self._failing:
                log.error("keys_not_read", reason=error.message, detail=error.detail)
            self._failing = True
        except Exception:
            log.exception("bug", part="keys")

    def _heard(self) -> None:
        if self._failing:
            log.info("keys_read_again")
        self._failing = False

    def _note(self, every_s: float) -> None:
        """Where it cannot, because somebody holds a lock, it does so another time."""
        now = time.monotonic()
        if not self.used or now - self._noted_at < every_s:
            return
        used, self.used, self._noted_at = self.used, set(), now
        try:
            self._store.used(used)
        except PenstockError as error:
            self.used |= used
            log.info("keys_use_not_noted", keys=len(used), reason=error.detail or error.message)
