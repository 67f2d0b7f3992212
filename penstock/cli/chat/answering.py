"""One answer, shown as it comes, and what it took."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from penstock.cli.chat.conversation import Conversation
from penstock.cli.chat.server import Server

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NS = 1e9


@dataclass
class Answer:
    """What came of one request. `counts`: the server's last line. `stopped`: by the person, before its end."""

    text: str = ""
    thinking: str = ""
    counts: dict[str, Any] = field(default_factory=dict)
    stopped: bool = False

    @property
    def tokens_per_second(self) -> float:
        """Tokens after the first one, by the time that they took; 0 when there are none."""
        tokens, seconds = self.counts.get("eval_count", 0) - 1, self.counts.get("eval_duration", 0) / _NS
        return tokens / seconds if tokens > 0 and seconds > 0 else 0.0

    def report(self) -> dict[str, Any]:
        """For programs; durations in seconds."""
        found = {"text": self.text} | ({"thinking": self.thinking} if self.thinking else {})
        return {
            **found,
            "reason": self.counts.get("done_reason", ""),
            "prompt_tokens": self.counts.get("prompt_eval_count", 0),
            "tokens": self.counts.get("eval_count", 0),
            "first_token_s": self._seconds("prompt_eval") + self._seconds("load"),
            "seconds": self._seconds("total"),
            "tokens_per_second": round(self.tokens_per_second, 2),
        }

    def summary(self) -> str:
        """One line for people."""
        if self.stopped:
            return "stopped"
        if not self.counts:
            return ""
        tokens, rate = self.counts.get("eval_count", 0), self.tokens_per_second
        said = f"{tokens} token{'s' * (tokens != 1)} in {self._seconds('total'):.2f} s"
        speed = f", {rate:.1f} tokens/s" if rate else ""
        cut = "; cut short by the limit of tokens" if self.counts.get("done_reason") == "length" else ""
        return f"{said}{speed}{cut}"

    def details(self) -> str:
        """Several lines for people."""
        prompt, first = self.counts.get("prompt_eval_count", 0), self._seconds("prompt_eval")
        rate = f", {prompt / first:.1f} tokens/s" if prompt and first else ""
        waited = f"waited {self._seconds('load'):.3f} s for a place"
        read = f"read {prompt} tokens in {first:.3f} s{rate}"
        return f"{waited}\n{read}\nwrote {self.summary()}" if self.counts else self.summary()

    def _seconds(self, name: str) -> float:
        return float(self.counts.get(f"{name}_duration", 0)) / _NS


class Screen(Protocol):
    """Where an answer goes as it comes."""

    def text(self, text: str) -> None:
        """More of the answer."""

    def thought(self, text: str) -> None:
        """More of what goes before it."""

    def end(self) -> None:
        """The answer is over."""


class Silent:
    """Shows nothing: the whole answer is printed later."""

    def text(self, text: str) -> None:
        """Is not shown."""

    def thought(self, text: str) -> None:
        """Is not shown."""

    def end(self) -> None:
        """Nothing was begun."""


class Shown:
    """Writes it. On a terminal thoughts are shown, and what would steer the terminal is not."""

    def __init__(self, out: TextIO):
        self.out = out
        self.terminal = out.isatty()
        self._dim = self.terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self._thinking = False
        self._last = "\n"

    def text(self, text: str) -> None:
        """More of the answer."""
        if self._thinking and text:
            self._thoughts_end()
        self._write(text)

    def thought(self, text: str) -> None:
        """More of what goes before it."""
        if not self.terminal:
            return
        if not self._thinking:
            self._thinking = True
            self.out.write("\x1b[2m" if self._dim else "Thinking: ")
        self._write(text)

    def end(self) -> None:
        """The answer is over: a line that was begun ends."""
        if self._thinking:
            self._thoughts_end()
        if self._last != "\n":
            self._write("\n")
        self.out.flush()

    def _thoughts_end(self) -> None:
        self._thinking = False
        self.out.write("\x1b[0m\n\n" if self._dim else "\n\n")

    def _write(self, text: str) -> None:
        if text:
            self.out.write(_CONTROL.sub("\ufffd", text) if self.terminal else text)
            self.out.flush()
            self._last = text[-1]


def answer(server: Server, conversation: Conversation, screen: Screen) -> Answer:
    """Asks for the next answer, and shows it. Ctrl-C stops it: what came until then stands.

    Raises the server's error, after what was shown.
    """
    found = Answer()
    try:
        with server.stream("/api/chat", conversation.body()) as lines:
            _follow(lines, found, screen)
    except KeyboardInterrupt:
        found.stopped = True
    finally:
        with contextlib.suppress(BrokenPipeError):
            screen.end()
    return found


def _follow(lines: Iterator[dict[str, Any]], found: Answer, screen: Screen) -> None:
    for line in lines:
        message = line["message"]
        if thought := message.get("thinking"):
            found.thinking += thought
            screen.thought(thought)
        if text := message.get("content"):
            found.text += text
            screen.text(text)
        if line["done"]:
            found.counts = line
