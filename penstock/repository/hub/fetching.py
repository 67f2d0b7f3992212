"""Models on the hub, fetched by a process of its own: huggingface_hub never loads into the server's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import MissingExtra, SetupError, by_code
from penstock.repository.hub.messages import Answer, Fetched, Refused, Request
from penstock.repository.hub.names import HubName
from penstock.repository.paths import of_path, reads_text
from penstock.repository.text_folders import of_huggingface
from penstock.repository.text_options import FILE
from penstock.repository.trust import Trusted

_ANSWER: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
COMMAND = (sys.executable, "-P", "-m", "penstock.repository.hub")


def of_hub(name: HubName, runtime: str | None, given: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    """What is known of a model on the hub, after it was downloaded into the hub's own cache.

    Raises `ModelFileError` and `UntrustedFile` as for a folder; `ModelFileError` when the hub does not give it;
    `SetupError` when the disk is full; `MissingExtra` without huggingface_hub.
    """
    options = dict(given)
    file = options.pop(FILE, None)
    fetched = fetch(Request(name.repo, name.revision, name.file or file, reads_text(runtime), options))
    folder = Path(fetched.folder)
    if fetched.text:
        known = of_huggingface(folder, options, trust, fetched.file)
    else:
        known = of_path(folder / fetched.file, runtime, options, trust)
    revision = {"revision": name.revision} if name.revision else {}
    return {**known, "details": {"repo": name.repo, **revision, "commit": fetched.commit}}


def fetch(request: Request) -> Fetched:
    """Downloads what a request names, unless it is on this machine already. Raises as `of_hub` does."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra("models on the hub need the extra: pip install 'penstock[hub]' (huggingface_hub is missing)")
    answer = _asked(msgspec.json.encode(request) + b"\n")
    if isinstance(answer, Refused):
        kind = by_code(answer.code)
        raise (kind if issubclass(kind, SetupError) else SetupError)(answer.message)
    return answer


def _asked(line: bytes) -> Answer:
    """The child's answer. It ends when its standard input does: with this process, however that ends."""
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        if child.stdin is None or child.stdout is None:
            raise SetupError("the download could not be started")
        try:
            child.stdin.write(line)
            child.stdin.flush()
            said = child.stdout.read()
        except BrokenPipeError:
            said = b""
        child.stdin.close()
        status = child.wait()
    try:
        return _ANSWER.decode(said)
    except msgspec.DecodeError as error:
        raise SetupError(f"the download ended without an answer (exit status {status}); try again") from error
