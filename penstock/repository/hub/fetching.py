"""Models on the hub, fetched by a process of its own: huggingface_hub never loads into the server's."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ConfigError, MissingExtra, SetupError, by_code
from penstock.repository.hub.messages import Answer, Fetched, Progress, Refused, Request, Said
from penstock.repository.hub.names import HubName
from penstock.repository.paths import of_path, reads_text
from penstock.repository.text_folders import of_huggingface
from penstock.repository.text_options import FILE
from penstock.repository.trust import Trusted

_SAID: msgspec.json.Decoder[Said] = msgspec.json.Decoder(Said)
COMMAND = (sys.executable, "-P", "-m", "penstock.repository.hub")


def of_hub(name: HubName, runtime: str | None, given: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    """What is known of a model on the hub, after it was downloaded into the hub's own cache.

    Raises `ModelFileError` and `UntrustedFile` as for a folder; `ModelFileError` when the hub does not give it,
    `HubUnreachable` when it is away for now; `SetupError` when the disk is full; `MissingExtra` without
    huggingface_hub.
    """
    options = dict(given)
    file = options.pop(FILE, None)
    fetched = fetch(request_for(name, runtime, options, file))
    if fetched.reason:
        print(f"penstock: {name.repo}: {fetched.reason}", file=sys.stderr)
    known = described(fetched, runtime, options, trust)
    revision = {"revision": name.revision} if name.revision else {}
    return {**known, "details": {"repo": name.repo, **revision, "commit": fetched.commit}}


def outline(name: HubName, options: dict[str, Any], folder: Path) -> Path:
    """The model of a place on the hub with its true sizes, but of its weights only the beginnings, put into a folder:
    enough to describe it. Raises as `of_hub` does."""
    request = request_for(name, None, options)
    fetched = fetch(msgspec.structs.replace(request, outline=str(folder)))
    if fetched.reason:
        print(f"penstock: {name.repo}: {fetched.reason}", file=sys.stderr)
    return Path(fetched.folder) / fetched.file


def request_for(name: HubName, runtime: str | None, options: dict[str, Any], file: str | None = None) -> Request:
    """What to download for a model on the hub; `options`: of the person."""
    language = runtime in (None, "llm")
    if name.quantization is not None and not language:
        raise ConfigError(f":{name.quantization} picks a GGUF file, which the runtime {runtime} does not read")
    return Request(
        name.repo,
        name.revision,
        name.file or file,
        reads_text(runtime),
        options,
        quantization=name.quantization,
        language=language,
    )


def described(fetched: Fetched, runtime: str | None, options: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    """What is known of a model that was downloaded. Raises as `of_hub` does."""
    folder = Path(fetched.folder)
    if fetched.text:
        return of_huggingface(folder, options, trust, fetched.file)
    return of_path(folder / fetched.file, runtime, options, trust)


def fetch(request: Request, say: Callable[[Progress], None] | None = None) -> Fetched:
    """Downloads what a request names, unless it is on this machine already; `say` is told how far it is.

    Raises as `of_hub` does. What `say` raises ends the download, which can be resumed.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtra("models on the hub need the extra: pip install 'penstock[hub]' (huggingface_hub is missing)")
    request = msgspec.structs.replace(request, progress=say is not None)
    answer = _asked(msgspec.json.encode(request) + b"\n", say or _nobody)
    if isinstance(answer, Refused):
        kind = by_code(answer.code)
        raise (kind if issubclass(kind, SetupError) else SetupError)(answer.message)
    return answer


def _nobody(progress: Progress) -> None:
    """Is told how far a download is."""


def _asked(line: bytes, say: Callable[[Progress], None]) -> Answer:
    """The child's answer. It ends when its standard input does: with this process, however that ends."""
    answer: Answer | None = None
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        if child.stdin is None or child.stdout is None:
            raise SetupError("the download could not be started")
        try:
            child.stdin.write(line)
            child.stdin.flush()
            for said in child.stdout:
                news = _SAID.decode(said)
                if isinstance(news, Progress):
                    say(news)
                else:
                    answer = news
        except (BrokenPipeError, msgspec.DecodeError):
            pass
        finally:
            child.stdin.close()
        status = child.wait()
    if answer is None:
        raise SetupError(f"the download ended without an answer (exit status {status}); try again")
    return answer
