"""The child side of an engine: take new requests from the socket, step once, send what is new in one frame."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Generated
from penstock.runtimes.contract import Engine
from penstock.scheduling.frames import FrameReader, pack, split
from penstock.scheduling.messages import Drop, Failure, Stepped, Submit

SIGN_OF_LIFE_S = 0.5
"""A frame goes out at least so often while there is work."""
CHUNK = 1 << 20


class Steps:
    """The loop of a worker whose engine has loaded. Ends when the server closes the socket."""

    def __init__(self, sock: socket.socket, engine: Engine):
        self._sock = sock
        self._engine = engine
        self._reader = FrameReader()
        self._decode = msgspec.msgpack.Decoder(Submit | Drop).decode
        self._heard = 0
        self._said = 0
        self._spoke_at = 0.0
        self._rested = False
        self._poll = select.poll()
        for descriptor in (sock.fileno(), *engine.descriptors()):
            self._poll.register(descriptor, select.POLLIN)

    def run(self) -> None:
        """Serves until the socket ends. What the engine raises ends the process: nobody knows its state then."""
        while self._listen():
            started = time.perf_counter()
            news = self._engine.step()
            self._speak(news, time.perf_counter() - started)

    def _listen(self) -> bool:
        """Reads what has come, waiting for it when there is nothing to do. False at the end of the socket."""
        ready = self._poll.poll(None if self._rested and not self._engine.busy else 0)
        if all(descriptor != self._sock.fileno() for descriptor, _ in ready):
            return True
        data = self._sock.recv(CHUNK)
        for frame in self._reader.feed(data):
            self._take(split(frame)[0])
        return bool(data)

    def _take(self, header: bytes) -> None:
        message = self._decode(header)
        self._heard += 1
        self._rested = False
        if isinstance(message, Submit):
            self._engine.submit(message.id, message.generation)
        else:
            for id in message.ids:
                self._engine.cancel(id)

    def _speak(self, news: Iterable[tuple[int, Event | Generated | PenstockError]], seconds: float) -> None:
        told = tuple((id, _plain(what)) for id, what in news)
        now = time.monotonic()
        known = self._said == self._heard and (self._engine.busy or self._rested)
        if not told and known and now - self._spoke_at < SIGN_OF_LIFE_S:
            return
        self._said, self._spoke_at, self._rested = self._heard, now, not self._engine.busy
        self._sock.sendall(b"".join(pack(Stepped(self._heard, told, self._engine.stats(), seconds))))


def _plain(what: Event | Generated | PenstockError) -> Event | Generated | Failure:
    if isinstance(what, PenstockError):
        return Failure(what.code, what.message, what.detail or "", getattr(what, "param", None))
    return what
