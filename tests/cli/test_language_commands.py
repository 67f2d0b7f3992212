"""`penstock run` with a server of its own; `ps`, `show` and `stop` with one that runs: the tiny model at work."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.cli.person import COMMAND, at_terminal, environment
from tests.clients.conftest import TINY
from tests.servers import Server, alive, children, eventually

pytest.importorskip("openvino_genai")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with servers.configured({"tiny": TINY}, ready_s=110, aliases={"assistant": "tiny"}) as server:
        yield server


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Of a person who has pulled nothing, and named no server."""
    return environment(tmp_path / "home", PENSTOCK_CACHE=str(tmp_path / "cache"))


@pytest.fixture
def there(env: dict[str, str], server: Server) -> dict[str, str]:
    return {**env, "PENSTOCK_URL": f"http://127.0.0.1:{server.port}"}


def penstock(*arguments: str, env: dict[str, str], status: int = 0) -> subprocess.CompletedProcess[str]:
    given = {"capture_output": True, "text": True, "timeout": 100, "env": env, "stdin": subprocess.DEVNULL}
    said = subprocess.run([*COMMAND, *arguments], **given)  # type: ignore[call-overload]
    assert said.returncode == status, said
    assert "Traceback" not in said.stderr
    return said


def family(pid: int) -> list[int]:
    """A process's children, and theirs."""
    found = children(pid)
    return found + [grandchild for child in found for grandchild in family(child)]


def running(server: Server) -> int:
    """Answers under way."""
    said = penstock("ps", "--json", env={**environment(Path("/")), "PENSTOCK_URL": f"http://127.0.0.1:{server.port}"})
    return sum(model["running"] + model["waiting"] for model in json.loads(said.stdout)["models"])


# --- a server of its own


def test_a_file_is_asked_through_a_server_of_its_own(env: dict[str, str]) -> None:
    said = penstock("run", str(TINY), "Repeat: salt and wind", "--temperature", "0", env=env)
    assert said.stdout == "salt and wind\n"
    assert "tokens/s" in said.stderr


def test_a_server_of_its_own_ends_with_the_conversation(env: dict[str, str]) -> None:
    with at_terminal("run", str(TINY), "--temperature", "0", env=env) as person:
        person.sees(">>> ", 100)
        servers_and_workers = family(person.process.pid)
        assert len(servers_and_workers) >= 2
        person.types("Repeat: salt\n")
        person.sees("salt")
        person.sees(">>> ")
        person.types("\x04")
        assert person.waits() == 0
    eventually(lambda: not any(map(alive, servers_and_workers)), "its server outlived it")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_server_of_its_own_ends_with_a_command_that_is_killed(env: dict[str, str], number: int) -> None:
    with at_terminal("run", str(TINY), env=env) as person:
        person.sees(">>> ", 100)
        servers_and_workers = family(person.process.pid)
        person.process.send_signal(number)
        assert person.waits() == (-number if number == signal.SIGKILL else 128 + number)
    eventually(lambda: not any(map(alive, servers_and_workers)), "its server outlived it")


def test_a_file_that_is_no_model(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(TINY.read_bytes()[:5000])
    said = penstock("run", str(tmp_path / "broken.gguf"), "hi", env=env, status=2)
    assert said.stdout == ""
    assert said.stderr.startswith("penstock: ")
    assert said.stderr.count("\n") <= 2


# --- a server that runs


def test_a_served_model_by_its_names(there: dict[str, str]) -> None:
    for name in ("tiny", "tiny:latest", "assistant"):
        said = penstock("run", name, "Repeat: salt", "--temperature", "0", "--json", env=there)
        assert json.loads(said.stdout)["text"] == "salt"


def test_the_same_seed_gives_the_same_answer(there: dict[str, str]) -> None:
    asked = ("run", "tiny", "Hello", "--seed", "7", "--temperature", "1.5", "--max-tokens", "20")
    assert penstock(*asked, env=there).stdout == penstock(*asked, env=there).stdout


def test_a_limit_that_is_no_limit_is_the_servers_to_refuse(there: dict[str, str]) -> None:
    said = penstock("run", "tiny", "Hello", "--max-tokens", "100000", env=there, status=1)
    assert (said.stdout, "2048" in said.stderr) == ("", True)


def test_ctrl_c_frees_the_servers_place(there: dict[str, str], server: Server) -> None:
    with at_terminal("run", "tiny", env=there) as person:
        person.sees(">>> ")
        person.types("Count from 1 to 100.\n")
        person.sees("10, 11")
        person.types("\x03")
        person.sees(">>> ")
        eventually(lambda: running(server) == 0, "the answer goes on", 5)
        person.types("/bye\n")
        assert person.waits() == 0


def test_ps(there: dict[str, str]) -> None:
    (row,) = json.loads(penstock("ps", "--json", env=there).stdout)["models"]
    assert (row["name"], row["state"], row["runtime"], row["running"]) == ("tiny", "READY", "llm", 0)
    assert row["context"] == 2048
    assert row["memory"] > TINY.stat().st_size
    assert "ready" in penstock("ps", env=there).stdout
    narrow = penstock("ps", env={**there, "COLUMNS": "80"}).stdout.split()
    assert narrow[narrow.index("tiny") :][:4] == ["tiny", "llm", "ready", "2048"]
    assert NOBODY in penstock("ps", "--url", NOBODY, env=there, status=1).stderr


def test_show(there: dict[str, str], env: dict[str, str]) -> None:
    served = json.loads(penstock("show", "tiny", "--json", env=there).stdout)
    of_files = json.loads(penstock("show", str(TINY), "--json", env={**env, "PENSTOCK_URL": ""}).stdout)
    for said in (served, of_files):
        assert said["capabilities"] == ["completion", "tools", "thinking"]
        assert said["model_info"]["llama.context_length"] == 2048
    assert "completion, tools, thinking" in penstock("show", "tiny", env=there).stdout
    assert "did you mean" in penstock("stop", "tinny", env=there, status=2).stderr


def test_stop_unloads_and_run_loads_again(there: dict[str, str], server: Server) -> None:
    before = server.workers()
    assert "tiny is unloaded" in penstock("stop", "tiny", env=there).stdout
    assert not any(map(alive, before))
    (row,) = json.loads(penstock("ps", "--json", env=there).stdout)["models"]
    assert (row["state"], row["memory"]) == ("UNLOADED", None)
    said = penstock("run", "tiny", "Repeat: salt", "--temperature", "0", env=there)
    assert said.stdout == "salt\n"
    assert server.workers() != before
