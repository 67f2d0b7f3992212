"""The child of a renderer: reads conversations from the socket that is its standard input, answers with prompts.

python -m penstock.runtimes.generation.rendering

It ends when its standard input does, and after a conversation that took too much memory.
"""

from __future__ import annotations

import signal
import socket

from jinja2 import Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError

from penstock.runtimes.generation.rendering.environment import Refused, compiled
from penstock.runtimes.generation.rendering.frames import Frames, Outcome, Render, Setup, pack
from penstock.runtimes.generation.rendering.limits import end_after, limit_process

_CHUNK = 1 << 18
_LONGEST_REASON = 500
_TOO_MUCH = Outcome("template", "it takes more memory than it may have", last=True)


class _Child:
    """One template, once it is set up."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self.template: Template | None = None

    def compile(self) -> Outcome:
        """Reads the template. The reason is for whoever has the model file."""
        limit_process(self.setup.memory)
        try:
            self.template = compiled(self.setup.template, self.setup.bos, self.setup.eos)
        except TemplateSyntaxError as error:
            return Outcome("template", f"line {error.lineno}: {error.message}"[:_LONGEST_REASON])
        except (MemoryError, RecursionError):
            return Outcome("template", "it is nested too deeply, or takes too much memory")
        except Exception as error:
            return Outcome("template", _words(error))
        return Outcome("ok")

    def render(self, request: Render) -> Outcome:
        """The prompt, or why there is none."""
        try:
            return self._rendered(request)
        except Refused as error:
            return Outcome("input", _words(error))
        except MemoryError:
            return _TOO_MUCH
        except RecursionError:
            return Outcome("template", "it calls itself without end")
        except SecurityError as error:
            return Outcome("template", f"it does what no template may: {_words(error)}")
        except TemplateError as error:
            return Outcome("input", _words(error))
        except Exception as error:
            return Outcome("input", f"{type(error).__name__}: {_words(error)}")

    def _rendered(self, request: Render) -> Outcome:
        if self.template is None:
            return Outcome("template", "it was not read")
        parts, length = [], 0
        values = {"add_generation_prompt": True, **request.variables}
        for part in self.template.generate(messages=request.messages, tools=request.tools, **values):
            parts.append(part)
            length += len(part)
            if length > self.setup.longest:
                return Outcome("long")
        return Outcome("ok", "".join(parts))


def _words(error: Exception) -> str:
    try:
        return str(error)[:_LONGEST_REASON]
    except Exception:
        return type(error).__name__


def _answer(child: _Child, message: Setup | Render) -> tuple[bytes, bool]:
    """The frame that answers, and whether it is the last."""
    end_after(child.setup.seconds)
    outcome = child.render(message) if isinstance(message, Render) else child.compile()
    try:
        packed = pack(outcome)
    except UnicodeError:
        packed = pack(Outcome("input", "the prompt has characters that are no Unicode"))
    except MemoryError:
        packed, outcome = pack(_TOO_MUCH), _TOO_MUCH
    end_after(0)
    return packed, outcome.last


def main() -> None:
    """Entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sock, frames, child = socket.socket(fileno=0), Frames(Setup | Render), None
    while data := sock.recv(_CHUNK):
        for message in frames.feed(data):
            child = child or _Child(message)
            answer, last = _answer(child, message)
            sock.sendall(answer)
            if last:
                return


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, ConnectionResetError):
        raise SystemExit(0) from None
