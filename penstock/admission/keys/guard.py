"""Who may come in: asks every request for a key, once there is one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection

from penstock.admission.keys import secret
from penstock.admission.keys.follower import Follower
from penstock.admission.keys.key import DEFAULT_VERBS, INTERNAL, INTERNAL_ID
from penstock.admission.keys.presented import presented
from penstock.admission.keys.ring import Held, Ring
from penstock.admission.keys.settings import KeySettings
from penstock.admission.keys.store import KeyStore
from penstock.core.errors import ConfigError, Forbidden, Loading, PenstockError, SetupError, Unauthenticated
from penstock.core.principal import ANYBODY, Principal, Verb
from penstock.telemetry.logs import logger

log = logger("admission")
NOT_STARTED = "the server is not ready: it has not looked yet which API keys there are; try again shortly"
HOW_TO_START = "start_models has not run: ASGI servers run it in an app's lifespan; a mounted app has none, so call it"


class KeyGuard:
    """Implements `core.principal.Guard` over the keys of a store (None: nothing is kept, so there are no keys).

    `public`: other machines reach the server; without keys it then does not start, unless `open` says that anybody may
    come in. `inner`: names of models that other models of this server call, with `internal_key`.
    """

    def __init__(
        self,
        store: KeyStore | None,
        public: bool,
        *,
        open: bool = False,
        inner: Collection[str] = (),
        settings: KeySettings | None = None,
    ):
        settings = settings or KeySettings()
        made = secret.new(INTERNAL_ID)
        self.internal_key = made.text
        verbs = frozenset(DEFAULT_VERBS)
        self._inner = Held(Principal(INTERNAL, INTERNAL_ID, verbs, frozenset(inner)), made.digest)
        self._store = store
        self._follower = None if store is None else Follower(store, settings.refresh_s, self._take)
        self._public, self._open, self._required = public, open, settings.required
        self._ring: Ring | None = None
        self._started = self._exposed = False
        self._refusals, self._said_at = 0, -math.inf

    @property
    def asks(self) -> bool:
        """Whether requests need a key. Once they do, they do until the server ends, whatever becomes of the keys."""
        return self._ring is not None or not self._started

    def admit(self, headers: dict[bytes, bytes], verb: Verb) -> Principal:
        """The caller. Raises `Unauthenticated` without a good key, `Forbidden` when the key does not allow the verb,
        `Loading` before `start`: nobody has looked yet whether there are keys."""
        ring, follower = self._ring, self._follower
        if ring is None or follower is None or verb == "none":
            if not self._started and verb != "none":
                raise Loading(NOT_STARTED, detail=HOW_TO_START, retry_after_s=1.0)
            return ANYBODY
        try:
            principal = ring.principal(presented(headers), time.time())
        except Unauthenticated as error:
            self._refused(error)
            raise
        if verb not in principal.verbs:
            raise Forbidden(f"the API key does not allow this: it lacks the verb {verb!r}")
        follower.used.add(principal.key)
        return principal

    def _refused(self, error: Unauthenticated) -> None:
        """Says at most once a second that keys are refused, and why; never the key."""
        why, error.detail = error.detail or "none, or several", None
        self._refusals += 1
        now = time.monotonic()
        if now - self._said_at >= 1.0:
            log.warning("key_refused", key=why, requests=self._refusals)
            self._said_at, self._refusals = now, 0

    def _take(self, held: list[Held]) -> None:
        """The keys have changed."""
        if self._ring is None:
            log.info("keys_asked_for", keys=len(held))
        self._ring = Ring([*held, self._inner])

    # --- life

    def expose(self) -> None:
        """The server is behind one that may let anybody in: it does not start without keys, unless `open` says so."""
        self._public = self._exposed = True

    async def start(self) -> None:
        """Reads the keys, and goes on following them. Raises `ConfigError` where the server must not be without any,
        and when the database cannot be read."""
        if self._follower is not None:
            await asyncio.to_thread(self._first, self._follower)
        if self._ring is None:
            self._without()
        self._started = True
        if self._follower is not None:
            self._follower.start()

    async def stop(self) -> None:
        """Follows no more."""
        if self._follower is not None:
            await asyncio.to_thread(self._follower.stop)

    def _first(self, follower: Follower) -> None:
        try:
            follower.read()
        except SetupError:
            raise
        except PenstockError as error:
            where = "" if self._store is None else self._store.shown
            why = error.detail or error.message
            raise ConfigError(f"the API keys cannot be read from {where}: {why}") from error

    def _without(self) -> None:
        """Lets the server be without keys, or does not."""
        none = "there is no API key" if self._store else "there can be no API key while state.url is none"
        make = "make one with: penstock keys create TENANT"
        here = "" if self._exposed else "serve on 127.0.0.1, or "
        if self._required:
            raise ConfigError(f"{none}, and the settings require one; {make}")
        if self._public and not self._open:
            raise ConfigError(
                f"{none}, and other machines could reach this server: anybody could use it; "
                f"{make}; or {here}allow it knowingly with http.open: true"
            )
        if self._public:
            log.warning("open_to_anybody", reason="http.open is set, and there are no API keys")
