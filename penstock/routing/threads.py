"""Threads for functions of the configuration: few, and none that hangs keeps others waiting for ever, or the process
from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from penstock.core.errors import Overloaded

IDLE_S = 30.0
"""After so long without work a thread ends."""

Work = tuple["Future[Any]", Callable[[Any], Any], Any]


class Threads:
    """At most `most` daemon threads, begun when needed (those of `concurrent.futures` are waited for at the end of the
    process). `line`: how many calls may wait for one of them."""

    def __init__(self, most: int, line: int):
        self._most = most
        self._room = most + line
        self._lock = threading.Lock()
        self._line: SimpleQueue[Work] = SimpleQueue()
        self._threads = 0
        self._calls = 0

    def call(self, function: Callable[[Any], Any], what: Any) -> Future[Any]:
        """Calls a function with one argument. Raises `Overloaded` when too many calls wait."""
        future: Future[Any] = Future()
        with self._lock:
            if self._calls >= self._room:
                raise Overloaded("the route's rule is busy; try again shortly")
            self._calls += 1
            self._line.put((future, function, what))
            if self._calls > self._threads and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name="penstock-rule", daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            try:
                future, function, what = self._line.get(timeout=IDLE_S)
            except Empty:
                with self._lock:
                    if self._line.empty():
                        self._threads -= 1
                        return
                continue
            _run(future, function, what)
            del future, function, what
            with self._lock:
                self._calls -= 1


def _run(future: Future[Any], function: Callable[[Any], Any], what: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        found = function(what)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(found)
