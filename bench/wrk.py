"""One load: wrk against one URL, with one request or a list of them, its numbers read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
wrk.method = "POST"
{headers}
{requests}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("MEASURED %d %d %d %d %f %f\\n", summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
  if walker then io.write(string.format("WALKED %d\\n", walker:get("position"))) end
end
"""
_ONE = """\
local file = assert(io.open({body}, "rb"))
wrk.body = file:read("*a")
file:close()
"""
# wrk runs with one thread, so all its connections draw from one walk; the body files are read in that thread alone.
_WALK = """\
position = {start}
local requests, order = {{}}, {{}}
function setup(thread) walker = thread end
function init(args)
  for body in io.lines({bodies}) do requests[#requests + 1] = wrk.format(nil, nil, nil, body) end
  for line in io.lines({order}) do order[#order + 1] = tonumber(line) + 1 end
end
function request()
  position = position + 1
  return requests[order[(position - 1) % #order + 1]]
end
"""


class WrkError(RuntimeError):
    """wrk is missing or did not finish."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the load sends: always a POST of one fixed body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """Bodies to walk through in an order, from a start on; without `cyclic`, running out of them is an error.

    `bodies`: without line breaks. `order`: indices into them; empty: as they lie.
    """

    bodies: Sequence[bytes]
    order: Sequence[int] = ()
    start: int = 0
    cyclic: bool = True

    def __len__(self) -> int:
        return len(self.order) or len(self.bodies)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    bad_statuses: int
    socket_errors: int


def require_wrk() -> str:
    """The path of wrk, or an error that says how to get it."""
    path = shutil.which("wrk")
    if path is None:
        raise WrkError("wrk is not installed. On Debian or Ubuntu: apt-get install -y wrk")
    return path


def wrk_version() -> str:
    """The version that wrk prints about itself."""
    shown = subprocess.run([require_wrk(), "-v"], capture_output=True, text=True, check=False)
    return (shown.stdout + shown.stderr).splitlines()[0].split(" [")[0]


def run_wrk(port: int, request: Request, connections: int, seconds: float, stream: Stream | None = None) -> Load:
    """Send the request (or, in its place, the stream's bodies) from so many connections for so long."""
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as folder:
        script = _write_script(Path(folder), request, stream)
        url = f"http://127.0.0.1:{port}{request.path}"
        duration = max(1, round(seconds))
        argv = [require_wrk(), "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "10s", "-s", str(script), url]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=duration + 60, check=False)
    if stream is not None and not stream.cyclic:
        _check_walk(_line("WALKED", ended.stdout, ended.stderr), stream)
    return _parse(ended.stdout, ended.stderr)


def _write_script(folder: Path, request: Request, stream: Stream | None) -> Path:
    script = folder / "post.lua"
    headers = "\n".join(f"wrk.headers[{_lua(k)}] = {_lua(v)}" for k, v in request.headers.items())
    requests = _write_body(folder, request.body) if stream is None else _write_walk(folder, stream)
    script.write_text(_SCRIPT.format(headers=headers, requests=requests))
    return script


def _write_body(folder: Path, body: bytes) -> str:
    path = folder / "body"
    path.write_bytes(body)
    return _ONE.format(body=_lua(os.fspath(path)))


def _write_walk(folder: Path, stream: Stream) -> str:
    bodies, order = folder / "bodies", folder / "order"
    bodies.write_bytes(b"".join(body + b"\n" for body in stream.bodies))
    order.write_text("".join(f"{index}\n" for index in stream.order or range(len(stream.bodies))))
    return _WALK.format(start=stream.start, bodies=_lua(os.fspath(bodies)), order=_lua(os.fspath(order)))


def _check_walk(words: list[str], stream: Stream) -> None:
    walked = int(words[0]) - stream.start
    if walked > len(stream):
        raise WrkError(f"the load sent {walked:,} requests, and only {len(stream):,} were prepared")


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _line(word: str, stdout: str, stderr: str) -> list[str]:
    line = next((line for line in stdout.splitlines() if line.startswith(f"{word} ")), None)
    if line is None:
        raise WrkError(f"wrk gave no result: {(stdout + stderr).strip()[-400:]}")
    return line.split()[1:]


def _parse(stdout: str, stderr: str) -> Load:
    words = _line("MEASURED", stdout, stderr)
    requests, micros, statuses, sockets, p50, p99 = (float(word) for word in words)
    return Load(
        requests_per_s=requests / (micros / 1e6),
        p50_ms=p50 / 1e3,
        p99_ms=p99 / 1e3,
        requests=int(requests),
        bad_statuses=int(statuses),
        socket_errors=int(sockets),
    )
