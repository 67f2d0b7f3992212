"""The process that downloads: one request as a line of JSON on standard input, one answer on standard output
(after lines that tell how far it is, if they are wanted).

    python -m penstock.repository.hub

Progress for people and notices go to standard error. The process ends when its standard input does.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from penstock.core.errors import SetupError
from penstock.repository.hub.messages import Answer, Refused, Request
from penstock.repository.hub.progress import telling


def main() -> int:
    """Answers one request. The status is 0 for an answer, a refusal included, and 130 after Ctrl-C."""
    # What a library prints must not come between.
    answers = os.dup(1)
    os.dup2(2, 1)
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with os.fdopen(answers, "wb") as out:
        try:
            with telling(out, request.progress):
                data = msgspec.json.encode(_answer(request))
        except KeyboardInterrupt:
            return 130
        out.write(data + b"\n")
    return 0


def _answer(request: Request) -> Answer:
    from penstock.repository.hub.download import obtain

    try:
        return obtain(request)
    except SetupError as error:
        return Refused(error.code, error.message)


def _end_with_parent() -> None:
    # Not through sys.stdin: its lock would be held while the interpreter ends.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
