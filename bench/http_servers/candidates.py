"""The candidates as contestants: one app, four ways to carry it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from bench.contestant import Absent, Contestant
from bench.field import Maker
from bench.http import Answer
from bench.models import IRIS_ROW
from bench.venvs import VenvError, installed_versions, make_venv
from bench.wrk import Request

GRANIAN = "Granian, RSGI, embedded"
UVICORN = "uvicorn, bare ASGI"
OWN = "own connection class"
BARE = "bare httptools protocol (floor)"

_ROOT = Path(__file__).parents[2]
_JSON = {"Content-Type": "application/json"}
_NOTES = {
    GRANIAN: ("granian_app", "Rust and hyper; a future per request", ("granian",)),
    UVICORN: ("uvicorn_app", "uvloop and httptools; a task per request", ("uvicorn", "httptools", "uvloop")),
    OWN: ("own_app", "uvloop and httptools, every limit on, no task per request", ("httptools", "uvloop")),
    BARE: ("bare_app", "the same parser and loop with no limit and no feature: what cannot be beaten", ()),
}


def makers() -> dict[str, Maker]:
    """Everyone, by name."""
    return {name: partial(candidate, name) for name in _NOTES}


def candidate(name: str) -> Contestant:
    """One of them."""
    module, note, packages = _NOTES[name]
    try:
        venv = make_venv("http-servers", Path(__file__).parent / "requirements.txt")
    except VenvError as error:
        raise Absent(f"does not install: {error}") from error
    start = [str(venv / "bin" / "python"), "-m", f"bench.http_servers.{module}"]
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": IRIS_ROW}
    request = Request("/infer", _JSON, json.dumps({"inputs": [tensor]}).encode())
    return Contestant(
        name,
        note,
        lambda port: [*start, str(port)],
        lambda port: request,
        _problem,
        env={"PYTHONPATH": str(_ROOT)},
        versions=installed_versions(venv, packages) if packages else {},
    )


def _problem(answer: Answer) -> str | None:
    if answer.status != 200:
        return f"status {answer.status}: {answer.body[:200]!r}"
    values = json.loads(answer.body)["outputs"][0]["data"]
    right = [round(value, 4) for value in values] == IRIS_ROW[:3]
    return None if right else f"{values}"
