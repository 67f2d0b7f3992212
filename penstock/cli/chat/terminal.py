"""A conversation in the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.chat.answering import Shown, answer
from penstock.cli.chat.settings import in_own_words
from penstock.core.errors import ConfigError, PenstockError

if TYPE_CHECKING:
    from penstock.cli.chat.conversation import Conversation
    from penstock.cli.chat.server import Server

HELP = """\
/set NAME VALUE   system, temperature, top_p, top_k, seed, max_tokens, think (on, off); without VALUE: as it was
/show             what is set
/clear            forget what was said
/bye              leave (so does Ctrl-D)
Ctrl-C stops an answer. A text of several lines goes between two lines of \"\"\"."""
KEPT = 1000
"""Lines of history."""
_QUOTES = '"""'


class Terminal:
    """Reads, asks, shows, until the person leaves."""

    def __init__(self, server: Server, conversation: Conversation, verbose: bool = False):
        self._server = server
        self._conversation = conversation
        self._verbose = verbose

    def run(self) -> None:
        """The whole conversation."""
        with history():
            while (text := self._read()) is not None:
                if text.startswith("/"):
                    if self._command(*text[1:].split(maxsplit=1)):
                        return
                elif text:
                    self._ask(text)

    def _read(self) -> str | None:
        """The next input; None at the end. Ctrl-C takes back what was typed."""
        try:
            text = prompted(">>> ").strip()
            if not text.startswith(_QUOTES):
                return text
            lines = [text.removeprefix(_QUOTES)]
            while not lines[-1].rstrip().endswith(_QUOTES):
                lines.append(prompted("... "))
            return "\n".join(lines).rstrip().removesuffix(_QUOTES).strip()
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            _say("\nCtrl-D or /bye leaves.")
            return ""

    def _command(self, name: str = "", rest: str = "") -> bool:
        """Does what a line that begins with a slash says; whether to leave."""
        if name in ("bye", "exit", "quit"):
            return True
        if name == "clear":
            self._conversation.clear()
            _say("Forgotten.")
        elif name == "set":
            self._set(*rest.split(maxsplit=1))
        elif name == "show":
            self._show()
        else:
            _say(HELP if name in ("help", "?") else f"There is no /{name}.\n{HELP}")
        return False

    def _set(self, name: str = "", value: str = "") -> None:
        try:
            self._conversation.set(name, value.strip('"'))
        except ConfigError as error:
            _say(error.message)

    def _show(self) -> None:
        it = self._conversation
        said = {"model": it.model, "system": it.system, **it.options, "messages": len(it.messages)}
        if it.think is not None:
            said["think"] = "on" if it.think else "off"
        _say("\n".join(f"{name}: {value}" for name, value in said.items() if value != ""))

    def _ask(self, text: str) -> None:
        self._conversation.say(text)
        heard = ""
        try:
            found = answer(self._server, self._conversation, Shown(sys.stdout))
            heard = found.text
            _say(found.details() if self._verbose else found.summary())
        except PenstockError as error:
            _say(f"penstock: {in_own_words(error.message, flags=False)}")
        finally:
            self._conversation.heard(heard)


def prompted(prompt: str) -> str:
    """A line that a person types; the prompt never gets into answers that are written to a file."""
    if sys.stdout.isatty():
        return input(prompt)
    print(prompt, end="", file=sys.stderr, flush=True)
    return input()


@contextlib.contextmanager
def history(path: Path | None = None) -> Iterator[None]:
    """Line editing with what was typed before, kept in a file that only this person may read."""
    try:
        import readline
    except ImportError:
        yield
        return
    file = history_file() if path is None else path
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(KEPT)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
            readline.write_history_file(file)


def history_file() -> Path:
    """$PENSTOCK_HOME/history, else penstock/history in the person's folder for state."""
    home = os.environ.get("PENSTOCK_HOME")
    if home:
        return Path(home) / "history"
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "penstock" / "history"


def _say(text: str) -> None:
    """To the person, beside the answers."""
    if text:
        print(text, file=sys.stderr, flush=True)
