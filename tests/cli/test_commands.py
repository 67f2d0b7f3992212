"""The commands as a person runs them: real processes, their output and exit status."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import VERBS
from tests.repository.conftest import onnx_bytes
from tests.servers import alive, children, eventually

SLOW = """
def double(values):
    return values * 2
"""


def run(*arguments: str, folder: Path, timeout: float = 60, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock.cli.main", *arguments]
    environment = {**os.environ, "PENSTOCK_HOME": str(folder / "home"), "NO_COLOR": "1", "COLUMNS": "200", **environ}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=folder, env=environment)


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The message of a refusal: status 2, no traceback."""
    assert result.returncode == 2, result
    assert "Traceback" not in result.stderr
    return result.stderr


# --- the command itself


def test_help_lists_every_verb_fast(tmp_path: Path) -> None:
    run("--help", folder=tmp_path)
    began = time.perf_counter()
    said = run("--help", folder=tmp_path)
    assert time.perf_counter() - began < 2, "help must not import what commands need"
    assert said.returncode == 0
    assert all(verb in said.stdout for verb in VERBS)


def test_help_imports_no_command(tmp_path: Path) -> None:
    code = "import sys\nfrom penstock.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in sys.modules if m in ('numpy', 'penstock.app', 'yaml')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("verb", [*VERBS])
def test_every_verb_explains_itself(verb: str, tmp_path: Path) -> None:
    said = run(verb, "--help", folder=tmp_path)
    assert said.returncode == 0
    assert f"penstock {verb}" in said.stdout


def test_an_unknown_verb(tmp_path: Path) -> None:
    assert "No such command 'serv'" in refused(run("serv", folder=tmp_path))


def test_shell_completion_knows_verbs_and_options(tmp_path: Path) -> None:
    def completed(line: str, word: int) -> str:
        return run(folder=tmp_path, _PENSTOCK_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(word)).stdout

    assert completed("penstock ser", 1).split() == ["serve"]
    assert completed("penstock serve --repl", 2).split() == ["--replicas"]


def test_version(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert run("--version", folder=tmp_path).stdout.strip() == f"penstock {version('penstock')}"
    assert json.loads(run("version", "--json", folder=tmp_path).stdout)["penstock"] == version("penstock")


# --- config


def test_config_schema_is_a_schema(tmp_path: Path) -> None:
    schema = json.loads(run("config", "schema", folder=tmp_path).stdout)
    assert schema["$defs"]["BatchingSettings"]["properties"]["max_size"]["description"].startswith("Rows in a batch")


def test_config_check_names_line_path_and_nearest_key(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("models:\n  iris:\n    source: ./iris.onnx\n    batching: {max_sise: 3}\n")
    said = refused(run("config", "check", folder=tmp_path))
    expected = "penstock.yaml, line 4: models.iris.batching.max_sise: unknown setting; did you mean max_size?"
    assert said == f"penstock: {expected}\n"
    as_json = run("config", "check", "--json", folder=tmp_path)
    (problem,) = json.loads(as_json.stdout)["problems"]
    assert as_json.returncode == 2
    assert (problem["line"], problem["path"]) == (4, "models.iris.batching.max_sise")


def test_config_check_looks_at_the_sources_too(tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text(SLOW)
    (tmp_path / "penstock.yaml").write_text("models:\n  double: models.py:double\n")
    assert run("config", "check", folder=tmp_path).stdout == "penstock.yaml is right: double\n"
    (tmp_path / "penstock.yaml").write_text("models:\n  double: modles.py:double\n")
    assert "models.double.source: there is no modles.py" in refused(run("config", "check", folder=tmp_path))


def test_serve_refuses_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("models:\n  iris: {source: a, replicas: none}\n")
    said = refused(run("serve", "penstock.yaml", folder=tmp_path))
    assert "penstock.yaml, line 2: models.iris.replicas: must be a whole number" in said


def test_serve_refuses_what_is_not_there_or_not_trusted(tmp_path: Path) -> None:
    assert "there is no nothing.onnx" in refused(run("serve", "nothing.onnx", folder=tmp_path))
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    digest = hashlib.sha256((tmp_path / "model.pkl").read_bytes()).hexdigest()
    assert f"--trust sha256:{digest}" in refused(run("serve", "model.pkl", folder=tmp_path))


# --- trust


def test_trust_remembers_a_file(tmp_path: Path) -> None:
    assert "nothing is trusted yet" in run("trust", "list", folder=tmp_path).stdout
    (tmp_path / "model.pkl").write_bytes(b"a model")
    digest = "sha256:" + hashlib.sha256(b"a model").hexdigest()
    assert digest in run("trust", "add", "model.pkl", folder=tmp_path).stdout
    listed = run("trust", "list", folder=tmp_path).stdout
    assert listed.startswith(f"{digest}  20")
    assert listed.endswith("  model\n")
    [entry] = json.loads(run("trust", "list", "--json", folder=tmp_path).stdout)["trusted"]
    assert (entry["digest"], entry["name"]) == (digest, "model")
    assert (tmp_path / "home" / "trust.json").stat().st_mode & 0o077 == 0
    assert run("trust", "remove", "model.pkl", folder=tmp_path).stdout == f"no longer trusted: {digest}\n"
    assert run("trust", "remove", digest, folder=tmp_path).stdout == f"was not trusted: {digest}\n"
    assert "nothing is trusted yet" in run("trust", "list", folder=tmp_path).stdout


def test_trust_refuses_what_is_no_file_or_digest(tmp_path: Path) -> None:
    assert "there is no nothing.pkl" in refused(run("trust", "add", "nothing.pkl", folder=tmp_path))
    assert "64 hexadecimal digits" in refused(run("trust", "add", "sha256:abc", folder=tmp_path))


# --- doctor


def findings(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {finding["subject"]: finding for finding in json.loads(result.stdout)["findings"]}


def test_doctor_finds_this_machine_fit(tmp_path: Path) -> None:
    said = run("doctor", "--json", folder=tmp_path)
    assert said.returncode == 0, said
    found = findings(said)
    assert {"python", "cores", "memory", "open files", "port 8000", "gpu", "trust store"} <= found.keys()
    assert "CPU" in found["onnx models"]["found"]
    assert all(finding["fix"] for finding in found.values() if finding["verdict"] != "ok")
    assert "trust store" in run("doctor", folder=tmp_path).stdout


def test_doctor_sees_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8000))
        except OSError:
            pytest.skip("somebody else has port 8000")
        taken.listen()
        port = findings(run("doctor", "--json", folder=tmp_path))["port 8000"]
    assert (port["verdict"], port["fix"]) == ("note", "serve elsewhere: --port 8080")


def test_doctor_sees_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "trust.json").write_text("{")
    (tmp_path / "penstock.yaml").write_text("modles: {}\n")
    said = run("doctor", "--json", folder=tmp_path, PENSTOCK_HTTP__PROT="1")
    assert said.returncode == 1
    broken = {name: finding for name, finding in findings(said).items() if finding["verdict"] == "broken"}
    assert broken.keys() == {"trust store", "environment", "penstock.yaml"}
    assert all(finding["fix"] for finding in broken.values())


# --- demo


def demo_process(folder: Path, cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PENSTOCK_HOME": str(folder / "home"), "PENSTOCK_CACHE": str(cache), "COLUMNS": "200"}
    command = [sys.executable, "-u", "-m", "penstock.cli.main", "demo", "--port", "0", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_demo_once_shows_good_models_and_leaves_nothing(tmp_path: Path, minilm_cache: Path) -> None:
    own = {"TMPDIR": str(tmp_path), "PENSTOCK_CACHE": str(minilm_cache)}
    said = run("demo", "--once", "--port", "0", folder=tmp_path, timeout=110, **own)
    assert said.returncode == 0, said
    for model, score in (
        ("digits", r"accuracy 9\d\.\d%"),
        ("wine", r"accuracy (9\d\.\d|100\.0)%"),
        ("diabetes", "error"),
    ):
        assert re.search(rf"{model} .*{score}.* ms .* ms ", said.stdout), said.stdout
    assert re.search(r"coffee hot on the train +Thermos flask, .* · .* \d+ ms", said.stdout), said.stdout
    assert re.search(r"capital of Gildan\? +The capital of Gildan is Mossgate\. +\d+", said.stdout), said.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_demo_keeps_serving_until_a_signal(tmp_path: Path, minilm_cache: Path, number: signal.Signals) -> None:
    import urllib.request

    process = demo_process(tmp_path, minilm_cache)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert all(result["good"] and result["mean_batch"] >= 1 for result in line["results"])
        assert all(one["good"] and len(one["titles"]) == 3 and one["ms"] > 0 for one in line["searches"])
        assert len(line["searches"]) == 5
        assert all(one["good"] and one["tokens"] > 0 for one in line["answers"])
        assert len(line["answers"]) == 3
        servers = children(process.pid)
        with urllib.request.urlopen(f"{line['url']}/readyz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.wait(60) == 0
        eventually(lambda: not any(alive(pid) for pid in servers), "the server outlived the demo")
    finally:
        process.kill()
        process.communicate(timeout=10)


# --- what lies in the working folder

TRAP = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()"
SHOUT = """
import penstock
import suffix

print("a model may print")

class Shout(penstock.Model):
    def predict(self, texts: list[str]) -> list[str]:
        return [text.upper() + suffix.SUFFIX for text in texts]
"""


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder with files named as libraries are, a model in each form, and a neighbour of one."""
    for library in ("uvloop", "onnxruntime", "numpy", "httptools"):
        (tmp_path / f"{library}.py").write_text(TRAP)
    (tmp_path / "shout.py").write_text(SHOUT)
    (tmp_path / "suffix.py").write_text("SUFFIX = '!'")
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    return tmp_path


@pytest.mark.parametrize("how", [["-m", "penstock.cli.main"], ["-c", "from penstock.cli.main import main; main()"]])
def test_code_beside_a_model_does_not_run(trapped: Path, how: list[str]) -> None:
    safe = ["-P"] if how[0] == "-c" else []
    command = [sys.executable, *safe, *how, "serve", "m.onnx", "shout.py:Shout", "--port", "0", "--json"]
    said = ready_line(command, trapped)
    assert [model["name"] for model in said["models"]] == ["m", "Shout"]
    assert list(trapped.glob("*.ran")) == []


def test_a_module_of_the_working_folder_is_served_when_it_is_named(trapped: Path) -> None:
    command = [sys.executable, "-m", "penstock.cli.main", "serve", "shout:Shout", "--port", "0", "--json"]
    assert ready_line(command, trapped)["event"] == "ready"


def ready_line(command: list[str], folder: Path) -> Any:
    """The first line on standard output of a server that is then stopped."""
    environment = {**os.environ, "PENSTOCK_HOME": str(folder / "home")}
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        return json.loads(server.stdout.readline())
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_a_trusted_pickle_finds_its_classes_in_the_working_folder(trapped: Path) -> None:
    (trapped / "own.py").write_text("class Doubling:\n    def predict(self, rows): return rows * 2\n")
    code = "import pickle, own; open('own.pkl', 'wb').write(pickle.dumps(own.Doubling()))"
    subprocess.run([sys.executable, "-c", code], cwd=trapped, check=True, timeout=60)
    digest = "sha256:" + hashlib.sha256((trapped / "own.pkl").read_bytes()).hexdigest()
    (trapped / "m.yaml").write_text(f"models: {{own: {{source: own.pkl, trust: '{digest}', example: [[1.0]]}}}}")
    command = [sys.executable, "-m", "penstock.cli.main", "serve", "m.yaml", "--port", "0", "--json"]
    assert ready_line(command, trapped)["event"] == "ready"
    assert list(trapped.glob("*.ran")) == []
