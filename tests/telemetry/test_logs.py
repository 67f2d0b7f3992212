"""Logs are one JSON object per line, whatever the values hold."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from penstock.telemetry import logs

PROGRAM = """
from penstock.telemetry import logs
logs.configure("info", "json")
log = logs.logger("tests")
log.debug("hidden")
log.info("said", request_id="a\\r\\nb\\u2028c", number=1)
try:
    raise ValueError("boom")
except ValueError:
    log.exception("broke")
"""


def test_one_object_per_line() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    said, broke = [json.loads(line) for line in done.stderr.splitlines()]
    assert said["event"] == "said"
    assert said["request_id"] == "a\r\nb\u2028c"
    assert (said["level"], said["room"]) == ("info", "tests")
    assert "ValueError: boom" in broke["exception"]


HOST_PROGRAM = """
import io, sys, structlog
structlog.configure(processors=[lambda *_: "the host's own"], logger_factory=structlog.PrintLoggerFactory(sys.stdout))
from penstock.telemetry import logs
early = logs.logger("early")
logs.configure("warning", "json")
structlog.get_logger().info("whatever")
early.info("hidden")
sys.stderr = io.StringIO()
early.warning("said")
print(sys.stderr.getvalue())
"""


def test_a_host_programs_own_logging_stays() -> None:
    done = subprocess.run([sys.executable, "-c", HOST_PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    theirs, ours, *_ = done.stdout.splitlines()
    assert theirs == "the host's own"
    assert json.loads(ours)["event"] == "said"
    assert done.stderr == ""


def test_the_method_of_a_request_may_be_said(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logs.logger("tests").info("request", method="GET")
    logs.configure()
    assert json.loads(capfd.readouterr().err)["method"] == "GET"
