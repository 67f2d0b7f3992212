"""The converter's own process, seen from the outside: neither a server nor its workers ever import torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO

import msgspec

from penstock.conversion.jobs import Answer, Done, Failed, Job, Step
from penstock.core.errors import ModelFileError, by_code
from penstock.scheduling.process import THREAD_VARIABLES, how_it_ended

Say = Callable[[str], None]
_TAIL = 4000
_OFFLINE = {
    # Nothing is fetched, nothing is reported, no code of a model's folder is run.
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "ORT_DISABLE_TELEMETRY": "1", "NNCF_CI": "1",
    "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore",
}  # fmt: skip


def run(job: Job, what: str, say: Say) -> Done:
    """Has a job done in a process of its own, and hands on its steps.

    Raises `ModelFileError` and the other errors that the job ends with; `what` names the work ("minilm cannot be
    converted") for when the process itself dies.
    """
    command = [sys.executable, "-P", "-m", "penstock.conversion", str(os.getpid())]
    with (
        tempfile.TemporaryFile() as log,
        tempfile.TemporaryDirectory(prefix="penstock-") as scratch,
        _started(command, log, scratch) as process,
    ):
        try:
            answer = _talk(process, job, say)
        except BaseException:
            process.kill()
            raise
        status = process.wait()
        if isinstance(answer, Done):
            return answer
        raise _refusal(answer) if answer is not None else _died(what, status, log)


def _started(command: list[str], log: IO[bytes], scratch: str) -> subprocess.Popen[bytes]:
    # The libraries leave folders in the temporary one.
    environment = {**os.environ, **_OFFLINE, "TMPDIR": scratch}
    for name in THREAD_VARIABLES:
        environment.pop(name, None)
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)


def _talk(process: subprocess.Popen[bytes], job: Job, say: Say) -> Done | Failed | None:
    """The job's last answer; None when the process ended without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
    except BrokenPipeError:
        return None
    for line in process.stdout:
        answer: Answer = msgspec.json.decode(line, type=Answer)
        if not isinstance(answer, Step):
            return answer
        say(answer.text)
    return None


def _refusal(failed: Failed) -> Exception:
    kind = by_code(failed.code)
    return kind(failed.message, detail=failed.detail)


def _died(what: str, status: int, log: IO[bytes]) -> ModelFileError:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
    tail = log.read().decode(errors="replace")
    hint = "; the system may have been out of memory" if status == -9 else ""
    return ModelFileError(f"{what}: the converter's process ended with {how_it_ended(status)}{hint}", detail=tail)
