"""The renderer's process: nothing waits for it, it is replaced when it dies, and it ends with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from penstock.core.errors import ModelFailed, ModelFileError
from penstock.runtimes.generation.rendering import Renderer
from tests.runtimes.generation.rendering.asking import collect, render, said

ECHO = "{{ messages[0].content }}"
SLOW = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def child_of(renderer: Renderer) -> psutil.Process:
    """The process that renders now."""
    return psutil.Process(renderer.pid)


def test_many_conversations_come_back_under_their_ids() -> None:
    renderer = Renderer(ECHO, bos="", eos="")
    for id in range(500):
        renderer.start(id, [said("user", str(id) * 50)], None, {})
    assert collect(renderer, 500) == {id: str(id) * 50 for id in range(500)}
    renderer.close()


def test_large_conversations_pass_through_a_small_socket() -> None:
    renderer = Renderer("{{ messages[0].content[:5] }}{{ messages[0].content[-5:] }}", bos="", eos="")
    for id in range(3):
        renderer.start(id, [said("user", f"first{id}" + "水" * 3_000_000 + "final")], None, {})
    assert collect(renderer, 3) == dict.fromkeys(range(3), "firstfinal")
    renderer.close()


def test_nothing_waits_for_the_child() -> None:
    renderer = Renderer(SLOW, bos="", eos="", seconds=1.0)
    renderer.check()
    began = time.monotonic()
    renderer.start(1, [said("user", "a" * 5_000_000)], None, {})
    for _ in range(20):
        assert renderer.poll() == []
    assert time.monotonic() - began < 0.5
    deadline = renderer.deadline()
    assert deadline is not None
    assert deadline - time.monotonic() <= 1.0
    assert isinstance(collect(renderer, 1)[1], ModelFailed)
    renderer.close()


def test_rendering_takes_the_parent_no_time() -> None:
    renderer = Renderer("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}", bos="", eos="")
    messages = [said("user", "hello there " * 40)] * 8
    render(renderer, messages)
    before = time.process_time()
    for _ in range(200):
        render(renderer, messages)
    assert (time.process_time() - before) / 200 < 0.005
    renderer.close()


def test_without_work_there_is_no_deadline() -> None:
    renderer = Renderer(ECHO, bos="", eos="")
    renderer.check()
    assert renderer.deadline() is None
    assert renderer.poll() == []
    renderer.close()


def test_a_killed_child_is_replaced() -> None:
    renderer = Renderer(ECHO, bos="", eos="")
    renderer.check()
    descriptor = renderer.fileno()
    for _ in range(3):
        child = child_of(renderer)
        child.kill()
        child.wait(10)
        assert render(renderer, [said("user", "again")]) == "again"
    assert renderer.fileno() == descriptor
    renderer.close()


def test_a_child_that_is_killed_at_work_fails_that_conversation_alone() -> None:
    renderer = Renderer("{% if messages[0].content == 'slow' %}" + SLOW + "{% endif %}done", bos="", eos="", seconds=30)
    renderer.check()
    renderer.start(1, [said("user", "slow")], None, {})
    renderer.start(2, [said("user", "fast")], None, {})
    time.sleep(0.1)
    child_of(renderer).kill()
    outcomes = collect(renderer, 2)
    assert isinstance(outcomes[1], ModelFailed)
    assert outcomes[2] == "done"
    renderer.close()


def test_a_broken_template_refuses_whoever_asks_all_the_same() -> None:
    renderer = Renderer("{% if %}", bos="", eos="")
    with pytest.raises(ModelFileError):
        renderer.check()
    assert isinstance(render(renderer, [said("user", "a")]), ModelFailed)
    renderer.close()


def test_a_child_that_never_starts_is_tried_again_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere/at/all")
    renderer = Renderer(ECHO, bos="", eos="")
    with pytest.raises(ModelFileError, match="the process that reads it ended"):
        renderer.check()
    assert renderer.deadline() is None
    monkeypatch.delenv("PYTHONHOME")
    assert render(renderer, [said("user", "at last")]) == "at last"
    renderer.close()


def test_the_child_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    renderer = Renderer(ECHO, bos="", eos="")
    renderer.check()
    assert "HF_TOKEN" not in child_of(renderer).environ()
    renderer.close()


def test_signals_of_the_terminal_do_not_reach_it() -> None:
    renderer = Renderer(ECHO, bos="", eos="")
    renderer.check()
    child = child_of(renderer)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child.pid, number)
    assert render(renderer, [said("user", "still here")]) == "still here"
    assert child_of(renderer).pid == child.pid
    renderer.close()
    assert not child.is_running()


@pytest.mark.parametrize("busy", [False, True])
def test_the_child_ends_with_its_parent(tmp_path: Path, busy: bool) -> None:
    script = tmp_path / "parent.py"
    script.write_text(f"""
import time
from penstock.runtimes.generation.rendering import Renderer
renderer = Renderer({SLOW!r}, bos="", eos="", seconds=1.0)
renderer.check()
if {busy}:
    renderer.start(1, [], None, {{}})
print("ready", flush=True)
time.sleep(60)
""")
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    [child] = psutil.Process(parent.pid).children()
    parent.kill()
    parent.communicate()
    child.wait(20)
