"""`penstock pull`, `ls`, `show` and `rm`: real processes, and a hub on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub_server
from tests.cli.person import COMMAND, at_terminal, environment
from tests.hub_server import Hub, Trouble
from tests.repository import ggufs
from tests.servers import eventually

pytest.importorskip("huggingface_hub")
SMALL = ggufs.gguf()
LARGE = ggufs.gguf(tensors=[*ggufs.TENSORS, ("blk.1.ffn.weight", (2048, 2048), ggufs.F16)])


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hub_server.running() as server:
        server.add("org/small-GGUF", {"small-Q8_0.gguf": SMALL})
        server.add("org/large-GGUF", {"large-F16.gguf": LARGE})
        yield server


@pytest.fixture
def env(hub: Hub, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in environment(tmp_path / "home").items() if not name.startswith("HF_")}
    places = {"HF_HOME": str(tmp_path / "hf"), "PENSTOCK_CACHE": str(tmp_path / "cache")}
    nobody = {"PENSTOCK_URL": "", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    return {**kept, **places, **nobody, "HF_ENDPOINT": hub.url}


def penstock(*arguments: str, env: dict[str, str], status: int = 0) -> subprocess.CompletedProcess[str]:
    said = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, env=env)
    assert said.returncode == status, said
    assert "Traceback" not in said.stderr
    return said


def on_disk(folder: Path) -> int:
    """Bytes of downloads that are not whole."""
    return sum(path.stat().st_size for path in folder.rglob("*.incomplete"))


def test_a_models_life_on_this_machine(env: dict[str, str], tmp_path: Path) -> None:
    assert "nothing was pulled yet" in penstock("ls", env=env).stderr
    pulled = penstock("pull", "hf:org/small-GGUF", env=env).stdout
    assert pulled.startswith("small is here (")
    assert pulled.endswith("penstock run small\n")
    (entry,) = json.loads(penstock("ls", "--json", env=env).stdout)
    assert (entry["name"], entry["source"], entry["complete"]) == ("small", "hf:org/small-GGUF", True)
    assert "hf:org/small-GGUF" in penstock("ls", env=env).stdout
    shown = json.loads(penstock("show", "small", "--json", env=env).stdout)
    assert (shown["details"]["family"], shown["model_info"]["llama.context_length"]) == ("llama", 64)
    assert shown["license"] == "mit"
    assert "architecture" in penstock("show", "small", env=env).stdout
    assert penstock("show", "small", "--template", env=env).stdout == "{{ messages }}\n"
    assert "removed small" in penstock("rm", "small", env=env).stdout
    assert not Path(entry["path"]).exists()
    assert json.loads(penstock("ls", "--json", env=env).stdout) == []


def test_an_estimate_pulls_nothing(env: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    told = json.loads(penstock("estimate", "hf:org/large-GGUF", "--json", env=env).stdout)
    assert (told["name"], told["parameters"] > 2048 * 2048) == ("large", True)
    assert not list(tmp_path.rglob("*.gguf"))
    assert json.loads(penstock("ls", "--json", env=env).stdout) == []


def test_a_name_of_ones_own(env: dict[str, str]) -> None:
    penstock("pull", "hf:org/small-GGUF", "--name", "mine", env=env)
    assert [entry["name"] for entry in json.loads(penstock("ls", "--json", env=env).stdout)] == ["mine"]
    assert "mine is here" in penstock("pull", "mine", env=env).stdout


def test_an_interrupted_pull_goes_on(hub: Hub, env: dict[str, str], tmp_path: Path) -> None:
    hub.troubles["large-F16.gguf"] = Trouble(1, stall=3_000_000)
    command = [*COMMAND, "pull", "hf:org/large-GGUF"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True) as process:
        assert hub.stalled.wait(30)
        eventually(lambda: on_disk(tmp_path) > 1_500_000, "nothing reaches the disk")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "penstock pull hf:org/large-GGUF goes on where it stopped" in errors
    assert "Traceback" not in errors
    before = sum(asked.sent for asked in hub.bodies("large-F16.gguf"))
    penstock("pull", "hf:org/large-GGUF", env=env)
    after = sum(asked.sent for asked in hub.bodies("large-F16.gguf")) - before
    assert after < len(LARGE) - 1_000_000


def test_progress_at_a_terminal(hub: Hub, env: dict[str, str]) -> None:
    hub.troubles["large-F16.gguf"] = Trouble(1, stall=3_000_000)
    with at_terminal("pull", "hf:org/large-GGUF", env=env) as person:
        assert hub.stalled.wait(30)
        shown = person.sees("large-F16.gguf")
        assert "%" not in shown, "only one bar"
        person.types("\x03")
        person.sees("goes on where it stopped")
        assert person.waits() == 130


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pull", "org/small-GGUF"), "hf:org/small-GGUF"),
        (("pull", "hf:org/absent"), "org/absent"),
        (("pull", "what"), "hf:org/name"),
        (("rm", "smal"), "no model 'smal' was pulled"),
        (("show", "smal"), "no served and no pulled model"),
        (("run", "smal", "hi"), "no pulled model"),
    ],
)
def test_refusals_say_what_would_work(env: dict[str, str], arguments: tuple[str, ...], says: str) -> None:
    said = penstock(*arguments, env=env, status=2)
    assert said.stdout == ""
    assert says in said.stderr
