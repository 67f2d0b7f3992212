"""`penstock run` as a person and a pipe use it: real processes, against a server that runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import ContextExceeded, WorkerLost
from penstock.core.generation import Generated, Message, Reasoning, Started, Stopped, Text, Usage
from penstock.protocols.ollama.door import OllamaText
from penstock.protocols.ollama.models import OllamaModels
from penstock.protocols.operations import Operations
from tests.cli.person import COMMAND, at_terminal, environment
from tests.protocols.scripted import HELLO, Live, Scripted, live, llm
from tests.servers import eventually

LONG = (Started(5), *(step for index in range(200) for step in (Text(0, f"word{index} "), 0.05)))


@pytest.fixture(scope="module")
def model() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def served(model: Scripted) -> Iterator[Live]:
    def mount(routes: Any, models: Any) -> None:
        OllamaText(model, models, system_clock).mount(routes)
        OllamaModels(model, models, "9.9").mount(routes)
        Operations(models, lambda: b"", "9.9").mount(routes)

    with live(mount, llm(), routes_to={"assistant": "tiny"}) as doors:
        yield doors


@pytest.fixture(autouse=True)
def _hello(model: Scripted) -> None:
    model.steps = HELLO


@pytest.fixture
def env(served: Live, tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path, PENSTOCK_URL=served.url)


def run(*arguments: str, env: dict[str, str], piped: str | None = None) -> subprocess.CompletedProcess[str]:
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if piped is None else {"input": piped}
    command = [*COMMAND, "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, **given)


def test_a_question_as_argument(model: Scripted, env: dict[str, str]) -> None:
    options = ("--system", "Be brief.", "--max-tokens", "9", "--temperature", "0", "--seed", "3", "--no-think")
    said = run("tiny", "What", "is it?", *options, env=env)
    assert (said.returncode, said.stdout) == (0, "Hello 🚲\n")
    assert said.stderr.startswith("3 tokens in ")
    generation = model.generation
    assert generation.messages == (Message("system", "Be brief."), Message("user", "What is it?"))
    sampling = generation.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.seed, generation.think) == (9, 0, 3, False)


def test_a_question_through_a_pipe(model: Scripted, env: dict[str, str]) -> None:
    assert run("tiny", env=env, piped="What is it?\n").stdout == "Hello 🚲\n"
    assert model.generation.messages[-1].content == "What is it?"
    run("tiny", "In short:", env=env, piped="a long\ntext\n")
    assert model.generation.messages[-1].content == "In short:\n\na long\ntext"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals")
@pytest.mark.parametrize("steps", [(), (WorkerLost("the worker died"),)])
def test_json_on_a_terminal_is_json_alone(model: Scripted, env: dict[str, str], steps: tuple[Any, ...]) -> None:
    """Thoughts are shown to people, and in the way of programs."""
    said = (Started(5), Reasoning(0, "So."), Text(0, "Yes"))
    model.steps = (*said, *(steps or (Stopped(0, "stop"), Generated(Usage(5, 0, 2)))))
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        command = [*COMMAND, "run", "tiny", "a", "--json"]
        status = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=env
        ).returncode
        os.write(theirs, b"the end")
        shown = terminal.read(65536).removesuffix(b"the end")
        os.close(theirs)
    if steps:
        assert (status, shown) == (1, b"")
    else:
        assert (status, json.loads(shown)["thinking"], json.loads(shown)["text"]) == (0, "So.", "Yes")


def test_a_pipe_that_carries_no_text(env: dict[str, str]) -> None:
    said = subprocess.run(
        [*COMMAND, "run", "tiny", "a"], input=b"\xff\xfe\x00", capture_output=True, timeout=60, env=env
    )
    assert (said.returncode, said.stdout) == (2, b"")
    assert said.stderr == b"penstock: what is piped in is no UTF-8 text\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
@pytest.mark.parametrize("arguments", [("run", "tiny", "a"), ("show", "tiny")])
def test_a_disk_that_is_full(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        command = [*COMMAND, *arguments]
        said = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=env)
    assert said.returncode == 1
    assert said.stderr.startswith(b"penstock: the output cannot be written: ")


def test_json_for_programs(model: Scripted, env: dict[str, str]) -> None:
    model.steps = (Started(5), Reasoning(0, "hm"), *HELLO[1:])
    said = run("tiny", "What is it?", "--json", env=env)
    found = json.loads(said.stdout)
    assert said.stderr == ""
    assert (found["model"], found["text"], found["thinking"], found["reason"]) == ("tiny", "Hello 🚲", "hm", "stop")
    assert (found["prompt_tokens"], found["tokens"]) == (5, 3)


def test_a_pipe_gets_the_answer_alone(model: Scripted, env: dict[str, str]) -> None:
    model.steps = (Started(5), Reasoning(0, "hm"), Text(0, "a\x1b[31mb\n"), *HELLO[3:])
    said = run("tiny", "What is it?", "--verbose", env=env)
    assert said.stdout == "a\x1b[31mb\n"
    assert "read 5 tokens" in said.stderr


def test_an_answer_that_fails(model: Scripted, env: dict[str, str]) -> None:
    model.steps = (ContextExceeded("300 tokens are over the context of 256"),)
    said = run("tiny", "What is it?", env=env)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "penstock: 300 tokens are over the context of 256\n"
    model.steps = (Started(5), Text(0, "He"), WorkerLost("the worker died"))
    said = run("tiny", "What is it?", env=env)
    assert (said.returncode, said.stdout, said.stderr) == (1, "He\n", "penstock: the worker died\n")


def test_what_cannot_be_run(env: dict[str, str], tmp_path: Path) -> None:
    for arguments, url, status, says in (
        (("tiny",), env["PENSTOCK_URL"], 2, "nothing to ask"),
        (("huge", "a"), env["PENSTOCK_URL"], 2, "serves assistant, tiny"),
        (("asistant", "a"), env["PENSTOCK_URL"], 2, "did you mean 'assistant'"),
        (("tiny", "a"), "http://127.0.0.1:9", 1, "nothing answers at http://127.0.0.1:9"),
        (("tiny", "a"), "localhost", 2, "is no URL"),
        (("", "a"), env["PENSTOCK_URL"], 2, "name a model"),
        ((str(tmp_path / "none"), "a"), env["PENSTOCK_URL"], 2, "no file"),
        (("..", "a"), env["PENSTOCK_URL"], 2, "is a folder without"),
        (("tiny", os.fsdecode(b"\xff")), env["PENSTOCK_URL"], 2, "no UTF-8"),
    ):
        said = run(*arguments, env={**env, "PENSTOCK_URL": url})
        assert (said.returncode, said.stdout) == (status, ""), said
        assert says in said.stderr
        assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("flag", "value", "says"),
    [
        ("--max-tokens", "0", "--max-tokens must be a whole number from 1 to 1000000, got 0"),
        ("--max-tokens", "abc", "--max-tokens"),
        ("--temperature", "9", "--temperature must be a number from 0 to 2, got 9.0"),
        ("--temperature", "nan", "--temperature must be a number from 0 to 2, got nan"),
        ("--seed", str(2**63), "--seed must be a whole number of 64 bits"),
        ("--max-token", "3", "--max-token"),
    ],
)
def test_a_wrong_flag_is_named_as_it_was_typed(env: dict[str, str], flag: str, value: str, says: str) -> None:
    said = run("nowhere", "a", flag, value, env=env)
    assert (said.returncode, said.stdout) == (2, "")
    assert says in said.stderr
    assert "num_predict" not in said.stderr


def test_the_servers_complaints_name_the_flag(model: Scripted, env: dict[str, str]) -> None:
    model.steps = (ContextExceeded("the 9 tokens of max_tokens are too many; num_predict is at most 5"),)
    said = run("tiny", "a", "--max-tokens", "9", env=env)
    assert said.returncode == 1
    assert said.stderr == "penstock: the 9 tokens of --max-tokens are too many; --max-tokens is at most 5\n"


def test_a_reader_that_leaves(model: Scripted, env: dict[str, str]) -> None:
    model.steps = LONG
    before = model.closed
    command = [*COMMAND, "run", "tiny", "What is it?"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == "word0"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
        assert process.wait(30) == 141
    eventually(lambda: model.closed > before, "the answer went on", 2)


def test_ctrl_c_ends_a_question(model: Scripted, env: dict[str, str]) -> None:
    model.steps = LONG
    before = model.closed
    command = [*COMMAND, "run", "tiny", "What is it?"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "word0"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "stopped\n")
    eventually(lambda: model.closed > before, "the answer went on", 2)


# --- at a terminal


def test_a_conversation(model: Scripted, env: dict[str, str]) -> None:
    with at_terminal("run", "tiny", env=env) as person:
        person.sees(">>> ")
        person.types("What is it?\n")
        person.sees("Hello 🚲\n")
        person.sees("3 tokens in ")
        person.sees(">>> ")
        person.types("And now?\n")
        person.sees(">>> ")
        assert [m.content for m in model.generation.messages] == ["What is it?", "Hello 🚲", "And now?"]
        person.types("/clear\n")
        person.sees("Forgotten.")
        person.types("/set system Be brief.\n/set temperature hot\n/set temperature 0.5\n/set think on\n/show\n")
        person.sees("temperature must be a number from 0 to 2, got 'hot'")
        person.sees("think: on")
        person.types('"""two\nlines"""\n')
        person.sees("Hello")
        person.sees(">>> ")
        assert [m.content for m in model.generation.messages] == ["Be brief.", "two\nlines"]
        assert (model.generation.think, model.generation.sampling.temperature) == (True, 0.5)
        person.types("/what\n")
        person.sees("There is no /what.")
        person.types("/bye\n")
        assert person.waits() == 0


def test_ctrl_c_stops_the_answer_and_ctrl_d_leaves(model: Scripted, env: dict[str, str]) -> None:
    model.steps = LONG
    before = model.closed
    with at_terminal("run", "tiny", env=env) as person:
        person.sees(">>> ")
        person.types("What is it?\n")
        person.sees("word3")
        person.types("\x03")
        person.sees("stopped")
        person.sees(">>> ")
        eventually(lambda: model.closed > before, "the answer went on", 2)
        model.steps = HELLO
        person.types("And now?\n")
        person.sees("Hello 🚲")
        stopped = model.generation.messages[1]
        assert (stopped.role, stopped.content[:6]) == ("assistant", "word0 ")
        person.sees(">>> ")
        person.types("half a thou\x03")
        person.sees("Ctrl-D or /bye leaves.")
        person.sees(">>> ")
        person.types("\x04")
        assert person.waits() == 0


def test_ctrl_c_is_heard_however_soon_it_comes(model: Scripted, env: dict[str, str]) -> None:
    with at_terminal("run", "tiny", env=env) as person:
        person.sees(">>> ")
        for _ in range(50):
            person.types("half a thou\x03")
            person.sees("Ctrl-D or /bye leaves.")
            person.sees(">>> ")
        person.types("\x04")
        assert person.waits() == 0


def test_a_failed_answer_leaves_the_conversation_as_it_was(model: Scripted, env: dict[str, str]) -> None:
    with at_terminal("run", "tiny", env=env) as person:
        model.steps = (ContextExceeded("too long"),)
        person.sees(">>> ")
        person.types("What is it?\n")
        person.sees("penstock: too long")
        model.steps = HELLO
        person.sees(">>> ")
        person.types("And now?\n")
        person.sees("Hello")
        assert [m.content for m in model.generation.messages] == ["And now?"]


def test_a_terminal_is_not_steered_by_the_model(model: Scripted, env: dict[str, str]) -> None:
    nasty = Text(0, "a\x1b]0;title\x07b\x9b31mc\n")
    model.steps = (Started(5), Reasoning(0, "hm"), nasty, Stopped(0, "stop"), Generated(Usage(5, 0, 3)))
    with at_terminal("run", "tiny", "What is it?", env={**env, "NO_COLOR": "1"}) as person:
        person.sees("Thinking: hm")
        person.sees("a\ufffd]0;title\ufffdb\ufffd31mc")
        assert person.waits() == 0


def test_what_was_typed_is_remembered(env: dict[str, str], tmp_path: Path) -> None:
    with at_terminal("run", "tiny", env=env) as person:
        person.sees(">>> ")
        person.types("What is it?\n")
        person.sees("3 tokens")
        person.sees(">>> ")
        person.types("\x04")
        assert person.waits() == 0
    history = tmp_path / "history"
    assert "What is it?" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0
