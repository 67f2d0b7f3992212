"""`penstock run` with a provider's model: a server of its own, that asks the provider."""

from __future__ import annotations

import os
import subprocess
import sys

from penstock.fakes.openai import FakeOpenAI

COMMAND = (sys.executable, "-m", "penstock.cli.main")


def test_run_asks_a_provider() -> None:
    with FakeOpenAI() as fake:
        command = [*COMMAND, "run", f"{fake.url}#some/model", "What now?"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert (ended.returncode, ended.stdout.strip()) == (0, "You said: What now?"), ended.stderr
    assert fake.calls[0].json["model"] == "some/model"


def test_an_estimate_of_a_providers_model() -> None:
    command = [*COMMAND, "estimate", "openai:gpt-5-mini"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert ended.returncode == 2
    assert "runs at a provider" in ended.stderr
