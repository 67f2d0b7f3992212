"""The inside of the converter's process: one job from standard input, answers on standard output.

python -m penstock.conversion PARENT_PID
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any, cast

import msgspec

from penstock.conversion.child import Say
from penstock.conversion.jobs import Answer, Convert, Done, Failed, Job, Step
from penstock.core.errors import ModelFileError, PenstockError


def main() -> None:
    """Entry point of the process."""
    from penstock.scheduling.worker import die_with_parent

    die_with_parent(int(sys.argv[1]))
    answers = _own_output()

    def say(answer: Answer) -> None:
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()

    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    say(_outcome(job, say))


def _own_output() -> IO[bytes]:
    """Standard output for answers alone: what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _outcome(job: Job, say: Callable[[Answer], None]) -> Done | Failed:
    try:
        return _do(job, lambda text: say(Step(text)))
    except PenstockError as error:
        return Failed(error.code, error.message, error.detail)
    except MemoryError:
        return Failed(ModelFileError.code, "there is not enough memory for it")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return Failed(ModelFileError.code, reason, traceback.format_exc()[-20_000:])


def _do(job: Job, say: Say) -> Done:
    _without_telemetry()
    if isinstance(job, Convert):
        from penstock.conversion.convert import convert

        return Done(made=convert(job, say))
    from penstock.conversion.measuring import measure

    return Done(measured=measure(job, say))


def _without_telemetry() -> None:
    """OpenVINO and NNCF report to their maker through this package; without it they use stubs that send nothing."""
    sys.modules["openvino_telemetry"] = cast(Any, None)


if __name__ == "__main__":
    main()
