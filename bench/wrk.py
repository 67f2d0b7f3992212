"""One load: wrk against one URL, its numbers read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = """\
wrk.method = "POST"
local file = assert(io.open({body}, "rb"))
wrk.body = file:read("*a")
file:close()
{headers}
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("MEASURED %d %d %d %d %f %f\\n", summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
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


def run_wrk(port: int, request: Request, connections: int, seconds: float) -> Load:
    """Send the request over and over from so many connections for so long."""
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as folder:
        script = _write_script(Path(folder), request)
        url = f"http://127.0.0.1:{port}{request.path}"
        duration = max(1, round(seconds))
        argv = [require_wrk(), "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", "10s", "-s", str(script), url]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=duration + 60, check=False)
    return _parse(ended.stdout, ended.stderr)


def _write_script(folder: Path, request: Request) -> Path:
    body, script = folder / "body", folder / "post.lua"
    body.write_bytes(request.body)
    headers = "\n".join(f"wrk.headers[{_lua(k)}] = {_lua(v)}" for k, v in request.headers.items())
    script.write_text(_SCRIPT.format(body=_lua(os.fspath(body)), headers=headers))
    return script


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parse(stdout: str, stderr: str) -> Load:
    line = next((line for line in stdout.splitlines() if line.startswith("MEASURED ")), None)
    if line is None:
        raise WrkError(f"wrk gave no result: {(stdout + stderr).strip()[-400:]}")
    requests, micros, statuses, sockets, p50, p99 = (float(word) for word in line.split()[1:])
    return Load(
        requests_per_s=requests / (micros / 1e6),
        p50_ms=p50 / 1e3,
        p99_ms=p99 / 1e3,
        requests=int(requests),
        bad_statuses=int(statuses),
        socket_errors=int(sockets),
    )
