"""Structured logs: one JSON object per line on standard error, text for a terminal."""

from __future__ import annotations

import logging
import sys
from functools import partialmethod
from typing import Any, Literal

import structlog

from penstock.core.access import masked

LogFormat = Literal["json", "text", "auto"]


_processors: list[Any] = []
_level = logging.INFO


def configure(level: str = "info", log_format: LogFormat = "auto") -> None:
    """Sets up Penstock's own logging, and nobody else's. `auto`: text when standard error is a terminal, else JSON."""
    global _level
    text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer()
    _level = logging.getLevelName(level.upper())
    _processors[:] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        renderer,
    ]


def logger(room: str) -> Any:
    """A logger that names the room it speaks for."""
    return structlog.wrap_logger(_Stderr(), _processors, _Filtering, cache_logger_on_first_use=False, room=room)


class _Stderr:
    """Writes lines to whatever standard error is now: notebooks and tests put other streams in its place. No line holds
    an API key, wherever it came from: clients put them into paths, and models into their errors."""

    def msg(self, message: str) -> None:
        structlog.PrintLogger(sys.stderr).msg(masked(message))

    debug = info = warning = error = critical = exception = msg


class _Filtering(structlog.BoundLoggerBase):
    """Hands on the entries that `configure` asked for, with its processors."""

    def _say(self, level: int, method: str, event: str, /, **values: Any) -> None:
        if level >= _level:
            self._proxy_to_logger(method, event, **values)

    debug = partialmethod(_say, logging.DEBUG, "debug")
    info = partialmethod(_say, logging.INFO, "info")
    warning = partialmethod(_say, logging.WARNING, "warning")
    error = partialmethod(_say, logging.ERROR, "error")

    def exception(self, event: str, **values: Any) -> None:
        """An error, with the exception that is being handled."""
        self._say(logging.ERROR, "error", event, **{"exc_info": True, **values})


configure()
