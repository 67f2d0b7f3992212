"""What is measured on Penstock alone: steadiness under a long load, time to ready, weight without models."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from bench import penstock
from bench.contestant import Absent
from bench.field import Runner, Wrong, say, start
from bench.http import call
from bench.models import Models
from bench.process import Service, free_port, wait_until
from bench.results import Sustained
from bench.wrk import run_wrk

_READY_TIMEOUT_S = 30.0
_SETTLE_S = 5.0
_STARTS = 5


def sustained(models: Models, seconds: float, connections: int = 32) -> Sustained:
    """Two loads back to back, with memory read before the first and after the second."""
    with start(partial(penstock.iris, models), models.folder) as runner:
        runner.service.resume()
        run_wrk(runner.port, runner.request, connections, _SETTLE_S)
        before = runner.service.rss_mb(children=True)
        first = run_wrk(runner.port, runner.request, connections, seconds)
        second = run_wrk(runner.port, runner.request, connections, seconds)
        after = runner.service.rss_mb(children=True)
        _clean(runner, first.bad_statuses + first.socket_errors + second.bad_statuses + second.socket_errors)
    return Sustained(seconds, first, second, before, after)


def ready_times(models: Models) -> list[float]:
    """Seconds from launch to readiness, five times."""
    times = []
    for number in range(_STARTS):
        times.append(_ready_time(models))
        say(f"start {number + 1}/{_STARTS}: ready after {times[-1]:.2f} s")
    return times


def server_weight_mb(models: Models) -> float:
    """Resident memory of the server process itself once ready; the workers hold the models and do not count."""
    port = free_port()
    with Service(penstock.serve(models.iris_onnx)(port), {}, models.folder, _log(models, port)) as service:
        _wait_ready(service, port)
        return service.rss_mb(children=False)


def _ready_time(models: Models) -> float:
    port = free_port()
    argv = penstock.serve(models.iris_onnx)(port)
    launched = time.perf_counter()
    with Service(argv, {}, models.folder, _log(models, port)) as service:
        _wait_ready(service, port)
        return time.perf_counter() - launched


def _wait_ready(service: Service, port: int) -> None:
    def ready() -> bool:
        return service.exited() is not None or call(port, "GET", "/readyz").status == 200

    if not wait_until(ready, _READY_TIMEOUT_S, 0.005) or service.exited() is not None:
        raise Absent("`penstock serve iris.onnx` does not become ready")


def _clean(runner: Runner, errors: int) -> None:
    runner.check()
    if errors:
        raise Wrong(f"{errors} bad statuses or socket errors under the sustained load")


def _log(models: Models, port: int) -> Path:
    return models.folder / f"Penstock-{port}.log"
