"""`penstock run`: a question, or a conversation, with a language model in the terminal."""

from __future__ import annotations

import os
import signal
import stat
import sys
from typing import Annotated, Any

import msgspec
import typer

from penstock.cli.chat import leaving
from penstock.cli.chat.answering import Answer, Shown, Silent, answer
from penstock.cli.chat.conversation import Conversation
from penstock.cli.chat.find import reach
from penstock.cli.chat.server import Server
from penstock.cli.chat.settings import from_flags, in_own_words
from penstock.core.errors import ConfigError, PenstockError

INTERRUPTED = 130
BROKEN_PIPE = 141


def run(
    model: Annotated[str, typer.Argument(help="A served or pulled model, a file, a folder, or hf:org/name.")],
    prompt: Annotated[list[str] | None, typer.Argument(help="What to ask; without it, a conversation.")] = None,
    system: Annotated[str, typer.Option(help="A text that goes before the conversation.")] = "",
    max_tokens: Annotated[int | None, typer.Option(help="Tokens of an answer at most.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the likeliest token each time.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same answer.")] = None,
    think: Annotated[bool | None, typer.Option("--think/--no-think", help="Whether to reason first.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer and its numbers as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Say more of what each answer took.")] = False,
    url: Annotated[
        str | None, typer.Option(help="The server to ask (default $PENSTOCK_URL, or this machine's).")
    ] = None,
) -> None:
    """Chat with a language model: one that a server serves, or one of your own.

    penstock run tiny "What is it?"        asks once; the answer alone goes to standard output

    cat notes.txt | penstock run tiny "In one sentence:"
    """
    leaving.at(signal.SIGTERM, signal.SIGHUP)
    text = question(prompt or [])
    if text is None and as_json:
        raise ConfigError("--json goes with a question: penstock run MODEL QUESTION --json")
    options = from_flags({"max_tokens": max_tokens, "temperature": temperature, "seed": seed})
    try:
        with reach(model, url) as (server, name):
            conversation = Conversation(name, system, options, think)
            if text is None:
                converse(server, conversation, verbose)
            else:
                conversation.say(text)
                raise typer.Exit(once(server, conversation, as_json, verbose))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def converse(server: Server, conversation: Conversation, verbose: bool) -> None:
    """A conversation, until the person leaves."""
    from penstock.cli.chat.terminal import Terminal

    print(f"{conversation.model} at {server.url}; /help lists what else there is, Ctrl-D leaves.", file=sys.stderr)
    Terminal(server, conversation, verbose).run()


def once(server: Server, conversation: Conversation, as_json: bool, verbose: bool) -> int:
    """One answer; returns the exit status: 1 when it failed."""
    try:
        found = answer(server, conversation, Silent() if as_json else Shown(sys.stdout))
        if as_json and not found.stopped:
            print(msgspec.json.encode(report(conversation, found)).decode(), flush=True)
    except ConfigError:
        raise
    except PenstockError as error:
        print(f"penstock: {in_own_words(error.message, flags=True)}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the answer has left; nothing is left to write to, also at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if not as_json:
        print(found.details() if verbose else found.summary(), file=sys.stderr)
    return INTERRUPTED if found.stopped else 0


def report(conversation: Conversation, found: Answer) -> dict[str, Any]:
    """The answer for programs."""
    return {"model": conversation.model, **found.report()}


def question(words: list[str]) -> str | None:
    """What to ask: the words, then what is piped in; None for a conversation. Raises `ConfigError` for nothing."""
    asked = " ".join(words).strip()
    piped = piped_in().strip() if is_piped() else ""
    text = "\n\n".join(filter(None, (asked, piped)))
    if text:
        return text
    if not words and sys.stdin is not None and sys.stdin.isatty():
        return None
    raise ConfigError("there is nothing to ask; pass a question, or pipe one in")


def piped_in() -> str:
    """All of standard input. Raises `ConfigError` when it is no text."""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("what is piped in is no UTF-8 text") from None


def is_piped() -> bool:
    """Whether somebody sends text: standard input is a pipe, a file or a socket."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)
