"""Models on the hub: the real huggingface_hub client, against a hub on this machine."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import HubUnreachable, ModelFileError, SetupError, UntrustedFile
from penstock.repository.sources import resolve
from penstock.repository.trust import digest_of
from penstock.runtimes import external_data
from tests.hub_server import Hub, Trouble
from tests.repository.conftest import onnx_bytes
from tests.repository.folders import safetensors

WEIGHTS = "model.safetensors"


def blobs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "hf").glob("hub/models--*/blobs/*"))


def refused(source: str, reason: str, kind: type[SetupError] = ModelFileError, **settings: Any) -> str:
    """The message of a refusal, which never holds an address, a path or a token."""
    with pytest.raises(kind, match=reason) as refusal:
        resolve(source, **settings)
    for secret in ("hf_secret", "127.0.0.1", "/tmp", "http://"):
        assert secret not in refusal.value.message
    return refusal.value.message


# --- what is downloaded


def test_a_model(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    commit = hub.add("org/minilm", files).refs["main"]
    spec = resolve("hf:org/minilm")
    assert (spec.name, spec.runtime, spec.format) == ("minilm", "text", "safetensors")
    assert spec.options["pooling"] == "cls"
    assert spec.details == {"repo": "org/minilm", "commit": commit}
    got = {path.relative_to(spec.path).as_posix() for path in Path(spec.path).rglob("*") if path.is_file()}
    assert got == {"config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json", WEIGHTS}
    assert (Path(spec.path) / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert Path(spec.path).is_relative_to(tmp_path / "hf" / "hub")


def test_a_second_time_nothing_is_downloaded(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    first = resolve("hf:org/minilm")
    hub.asked.clear()
    assert resolve("hf:org/minilm") == first
    assert [asked.path.startswith("/api/") for asked in hub.asked] == [True]


@pytest.mark.usefixtures("here")
def test_a_new_commit_brings_only_what_changed(hub: Hub, files: dict[str, bytes]) -> None:
    repo = hub.add("org/minilm", files)
    first = resolve("hf:org/minilm")
    commit = repo.commit({**files, "config.json": files["config.json"].replace(b'"bert"', b'"electra"')})
    hub.asked.clear()
    second = resolve("hf:org/minilm")
    assert second.details["commit"] == commit
    assert second.options["architecture"] == "electra"
    assert second.path != first.path
    assert hub.bodies(WEIGHTS) == []


@pytest.mark.usefixtures("here")
def test_revisions(hub: Hub, files: dict[str, bytes]) -> None:
    repo = hub.add("org/minilm", files)
    old = repo.refs["main"]
    repo.commit({**files, "1_Pooling/config.json": b"{}"}, "main", "v2")
    repo.commit(files, "refs/pr/1")
    assert resolve("hf:org/minilm").options.get("pooling", "mean") == "mean"
    assert resolve("hf:org/minilm@v2").details == {"repo": "org/minilm", "revision": "v2", "commit": repo.refs["v2"]}
    assert resolve(f"hf:org/minilm@{old}").options["pooling"] == "cls"
    assert resolve("hf:org/minilm@refs/pr/1").details["commit"] == repo.refs["refs/pr/1"]
    refused("hf:org/minilm@v3", "no revision 'v3'")


@pytest.mark.usefixtures("here")
def test_a_plain_onnx_file_comes_instead_of_the_weights(hub: Hub, files: dict[str, bytes]) -> None:
    graphs = {"onnx/model.onnx": onnx_bytes(), "onnx/model.onnx_data": b"weights", "onnx/model_O4.onnx": onnx_bytes()}
    hub.add("org/minilm", {**files, **graphs})
    spec = resolve("hf:org/minilm")
    assert (spec.runtime, spec.format) == ("text", "onnx")
    assert (Path(spec.path).parent / "model.onnx_data").is_file()
    assert spec.options["tokenizer"].endswith("/tokenizer.json")
    assert hub.bodies(WEIGHTS) == hub.bodies("model_O4.onnx") == []
    one = resolve("hf:org/minilm/onnx/model_O4.onnx")
    assert (Path(one.path).name, one.options["pooling"]) == ("model_O4.onnx", "cls")
    assert resolve("hf:org/minilm", options={"file": "onnx/model_O4.onnx"}).path == one.path


@pytest.mark.usefixtures("here")
def test_external_data_lies_in_the_model_folder(hub: Hub, files: dict[str, bytes]) -> None:
    """Both engines refuse a link that leads out of it, and the cache is made of such links."""
    hub.add("org/large", {**files, "model.onnx": onnx_bytes(), "model.onnx_data": bytes(1000)})
    spec = resolve("hf:org/large")
    data = Path(spec.path).parent / "model.onnx_data"
    assert data.read_bytes() == bytes(1000)
    external_data.check(data.parent, {data.name})
    hub.asked.clear()
    assert resolve("hf:org/large") == spec
    assert hub.bodies("model.onnx_data") == []


@pytest.mark.usefixtures("here")
def test_external_data_of_two_commits(hub: Hub, files: dict[str, bytes]) -> None:
    from huggingface_hub import snapshot_download

    repo = hub.add("org/large", {**files, "model.onnx": onnx_bytes(), "model.onnx_data": bytes(1000)})
    old = Path(snapshot_download("org/large"))
    repo.commit({**repo.commits[old.name], "config.json": files["config.json"] + b" "})
    new = Path(resolve("hf:org/large").path).parent
    assert old != new
    assert not (new / "model.onnx_data").is_symlink()
    assert (old / "model.onnx_data").read_bytes() == (new / "model.onnx_data").read_bytes() == bytes(1000)


@pytest.mark.usefixtures("here")
def test_shards(hub: Hub, files: dict[str, bytes]) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = b'{"weight_map": {"a": "%s", "b": "%s"}}' % (names[0].encode(), names[1].encode())
    shards = {name: safetensors(name=name[:8]) for name in names} | {"model.safetensors.index.json": index}
    hub.add("org/big", {**{k: v for k, v in files.items() if k != WEIGHTS}, **shards})
    assert (Path(resolve("hf:org/big").path) / names[1]).is_file()


@pytest.mark.usefixtures("here")
def test_one_file_of_any_kind(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/iris", {"iris.onnx": onnx_bytes(), "model.joblib": b"\x80\x04]q.", "config.json": b"{}"})
    spec = resolve("hf:org/iris/iris.onnx", name="flower")
    assert (spec.name, spec.runtime, spec.format) == ("flower", "", "onnx")
    message = refused("hf:org/iris/model.joblib", "can run code", UntrustedFile)
    digest = digest_of(next(path for path in blobs(tmp_path) if path.read_bytes().endswith(b"]q.")))
    assert f"--trust sha256:{digest}" in message
    assert resolve("hf:org/iris/model.joblib", trust=frozenset({f"sha256:{digest}"})).trusted


@pytest.mark.usefixtures("here")
def test_plain_tensors_when_asked(hub: Hub) -> None:
    hub.add("org/vit", {"config.json": b'{"architectures": ["ViTModel"], "image_size": 4}', "model.onnx": onnx_bytes()})
    refused("hf:org/vit", "no model that reads text")
    assert resolve("hf:org/vit", runtime="onnx").format == "onnx"


def test_through_the_command(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    """And huggingface_hub never loads into the process that asks."""
    hub.add("org/minilm", files)
    code = (
        "import sys; from penstock.repository.sources import resolve; print(resolve('hf:org/minilm').name);"
        "sys.exit(any(name.startswith(('huggingface_hub', 'httpx', 'tqdm')) for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "minilm"), done.stderr


def test_a_terminal_sees_progress(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    code = "from penstock.repository.sources import resolve; resolve('hf:org/minilm')"
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs) as asking:
        os.close(theirs)
        seen = b"".join(iter(lambda: read(ours), b"")).decode()
    os.close(ours)
    assert asking.returncode == 0
    assert re.search(r"model\.safetensors: +100%.*4\.00M", seen)
    assert "Fetching" not in seen


def read(terminal: int) -> bytes:
    """What comes next; nothing once the other side is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_nobody_else_does(hub: Hub, files: dict[str, bytes], capfd: pytest.CaptureFixture[str]) -> None:
    hub.add("org/minilm", files)
    resolve("hf:org/minilm")
    assert "%" not in capfd.readouterr().err


# --- tokens


def test_the_token_opens_private_models_and_goes_to_the_hub_alone(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/private", files).token = "hf_secret"
    refused("hf:org/private", "check the name; if it is private, set HF_TOKEN$")
    monkeypatch.setenv("HF_TOKEN", "hf_secret2")
    refused("hf:org/private", "the token that is set does not open it")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert resolve("hf:org/private").name == "private"
    cdn = [asked for asked in hub.asked if asked.path.startswith("/cdn/")]
    assert cdn
    assert all(asked.token == "" for asked in cdn)
    assert any(asked.token == "Bearer hf_secret" for asked in hub.asked)


@pytest.mark.usefixtures("here")
def test_gated(hub: Hub, files: dict[str, bytes]) -> None:
    repo = hub.add("org/gated", files)
    repo.token, repo.gated = "hf_secret", True
    refused("hf:org/gated", "is gated: ask for access on its page, and set HF_TOKEN")


@pytest.mark.usefixtures("here")
def test_what_is_not_there(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    refused("hf:org/minilm2", "the hub has no org/minilm2 for you: check the name")
    refused("hf:org/minilm/model.onnx", "has no file model.onnx; it has .*pytorch_model.bin")
    hub.add("org/data", {"README.md": b"", "iris.onnx": onnx_bytes()})
    refused("hf:org/data", r"no config\.json; name a file of it \(hf:org/name/file\); it has iris\.onnx")


# --- what is not worth a download


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"config.json": b'{"architectures": ["LlamaForCausalLM"], "vocab_size": 9}', "modules.json": None}, "layers"),
        ({"tokenizer.json": None}, "no tokenizer.json"),
        ({"config.json": b"{"}, "config.json is damaged"),
        ({WEIGHTS: None}, "only as a pickle .* is not downloaded. .*@refs/pr/1"),
        ({WEIGHTS: None, "pytorch_model.bin": None}, "TensorFlow weights"),
    ],
)
def test_refused_before_anything_large(hub: Hub, files: dict[str, bytes], change: dict[str, Any], reason: str) -> None:
    hub.add("org/minilm", {name: data for name, data in (files | change).items() if data is not None})
    refused("hf:org/minilm", reason)
    assert not any(asked.path.startswith("/cdn/") for asked in hub.asked)


@pytest.mark.usefixtures("here")
def test_code_of_a_repository(hub: Hub, files: dict[str, bytes]) -> None:
    config = files["config.json"].replace(b"{", b'{"auto_map": {"AutoModel": "modeling.Evil"},', 1)
    hub.add("org/evil", {**files, "config.json": config})
    refused("hf:org/evil", "auto_map.*runs no code")
    assert not any(asked.path.endswith((".py", WEIGHTS)) for asked in hub.asked)


@pytest.mark.usefixtures("here")
def test_formats_that_are_not_served(hub: Hub) -> None:
    hub.add("org/keras", {"model.h5": b"HDF" * 1000})
    refused("hf:org/keras/model.h5", r"model\.h5 is not served here")
    assert not any(asked.path.startswith("/cdn/") for asked in hub.asked)


@pytest.mark.usefixtures("here")
def test_a_disk_without_room(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.add("org/minilm", files)
    hub.sizes[WEIGHTS] = 10**15
    refused("hf:org/minilm", r"needs 1,000,000,000\.0 MB, and the disk of .* has [\d,.]+ MB free", SetupError)
    assert not any(path.stat().st_size > 100_000 for path in blobs(tmp_path))


# --- interruptions


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    hub.troubles[WEIGHTS] = Trouble(times=1, cut=3_000_000)
    spec = resolve("hf:org/minilm")
    assert (Path(spec.path) / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert_continued(hub, files)


def assert_continued(hub: Hub, files: dict[str, bytes]) -> None:
    """Two requests got bytes: the second asked for, and got, only what the first had not brought."""
    first, second = hub.bodies(WEIGHTS)
    start = int(second.range.removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= first.sent
    assert second.sent == len(files[WEIGHTS]) - start


def test_a_download_that_failed_goes_on_next_time(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    """The connection breaks, and then the hub only says 500: this call gives up, the next one continues."""
    hub.add("org/minilm", files)
    hub.troubles[WEIGHTS] = Trouble(times=1, cut=3_000_000)
    hub.then[WEIGHTS] = Trouble(times=1, status=500)
    refused("hf:org/minilm", "the hub answered 500")
    assert [path.stat().st_size for path in blobs(tmp_path) if path.suffix == ".incomplete"] == [2 * 2**20]
    spec = resolve("hf:org/minilm")
    assert (Path(spec.path) / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert_continued(hub, files)
    assert not [path for path in blobs(tmp_path) if path.suffix == ".incomplete"]


def test_a_killed_process_takes_the_download_with_it_and_the_next_goes_on(
    hub: Hub, files: dict[str, bytes], tmp_path: Path
) -> None:
    hub.add("org/minilm", files)
    hub.troubles[WEIGHTS] = Trouble(times=1, stall=3_000_000)
    code = "from penstock.repository.sources import resolve; resolve('hf:org/minilm')"
    asking = subprocess.Popen([sys.executable, "-c", code])
    assert hub.stalled.wait(60)
    assert eventually(lambda: sum(p.stat().st_size for p in blobs(tmp_path) if p.suffix == ".incomplete") > 100_000)
    os.kill(asking.pid, signal.SIGKILL)
    asking.wait(30)
    spec = resolve("hf:org/minilm")
    assert (Path(spec.path) / WEIGHTS).read_bytes() == files[WEIGHTS]
    assert_continued(hub, files)


def test_two_processes_download_it_once(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    code = "from penstock.repository.sources import resolve; print(resolve('hf:org/minilm').path)"
    asking = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    answers = [process.communicate(timeout=60)[0] for process in asking]
    assert answers[0] == answers[1] != b""
    assert len(hub.bodies(WEIGHTS)) == 1


def eventually(condition: Any) -> bool:
    until = time.monotonic() + 20
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.usefixtures("here")
def test_wrong_bytes_never_stay(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.add("org/minilm", files)
    hub.troubles[WEIGHTS] = Trouble(times=1, other=bytes(len(files[WEIGHTS])))
    refused("hf:org/minilm", f"{WEIGHTS} came with another digest than the hub lists")
    assert not any(path.stat().st_size > 100_000 for path in blobs(tmp_path))
    assert (Path(resolve("hf:org/minilm").path) / WEIGHTS).read_bytes() == files[WEIGHTS]


@pytest.mark.usefixtures("here")
def test_wrong_small_files_never_stay(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    other = files["tokenizer.json"].replace(b"shoes", b"boots")
    hub.troubles["tokenizer.json"] = Trouble(times=1, other=other)
    refused("hf:org/minilm", "tokenizer.json came with another digest")
    assert b"shoes" in (Path(resolve("hf:org/minilm").path) / "tokenizer.json").read_bytes()


@pytest.mark.usefixtures("here")
def test_a_blob_that_was_cut_short_since(hub: Hub, files: dict[str, bytes]) -> None:
    hub.add("org/minilm", files)
    spec = resolve("hf:org/minilm")
    blob = (Path(spec.path) / WEIGHTS).resolve()
    blob.write_bytes(files[WEIGHTS][:1000])
    assert resolve("hf:org/minilm") == spec
    assert (Path(spec.path) / WEIGHTS).read_bytes() == files[WEIGHTS]


# --- without the hub


def test_offline_from_the_cache(hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("org/minilm", files)
    online = resolve("hf:org/minilm")
    hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve("hf:org/minilm") == online
    assert hub.asked == []
    refused("hf:org/other", "is not in the hub's cache here, and HF_HUB_OFFLINE forbids")
    refused("hf:org/minilm/model.onnx", "has no file")


def test_a_hub_that_is_away(hub: Hub, files: dict[str, bytes], capfd: pytest.CaptureFixture[str]) -> None:
    hub.add("org/minilm", files)
    online = resolve("hf:org/minilm")
    hub.status = 503
    capfd.readouterr()
    assert resolve("hf:org/minilm") == online
    assert "the hub cannot be reached; org/minilm comes from the cache" in capfd.readouterr().err
    refused("hf:org/other", "the hub answered 503 when asked for org/other; try again later", HubUnreachable)
    hub.stop()
    assert resolve("hf:org/minilm") == online
    refused("hf:org/other", r"the hub cannot be reached for org/other \(ConnectError\)", HubUnreachable)


def test_a_hub_that_is_silent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "1")
    hub.silent = True
    refused("hf:org/minilm", r"the hub cannot be reached for org/minilm \(ReadTimeout\)", HubUnreachable)


def test_half_a_model_in_the_cache(
    hub: Hub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.add("org/minilm", files)
    spec = resolve("hf:org/minilm")
    (Path(spec.path) / "tokenizer.json").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused("hf:org/minilm", "no tokenizer.json")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "answer",
    [
        b"<html>captive portal</html>", b"null", b'{"id": "o/n", "sha": "../../etc", "siblings": []}',
        b'{"id": "o/n", "sha": "%s", "siblings": [{"rfilename": "config.json"}]}' % (b"ab" * 20),
    ],
)  # fmt: skip
def test_answers_that_make_no_sense(hub: Hub, files: dict[str, bytes], answer: bytes) -> None:
    hub.add("org/minilm", files)
    hub.garbage = answer
    refused("hf:org/minilm", "answer about org/minilm makes no sense .*check HF_ENDPOINT")


@pytest.mark.usefixtures("here")
def test_names_that_would_leave_the_cache(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    hub.add("org/minilm", {**files, "../../../evil.json": b"{}", "1_Pooling/../../evil.json": b"{}"})
    assert resolve("hf:org/minilm").name == "minilm"
    assert not list(tmp_path.rglob("evil.json"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "wants a valid token"), (403, "does not allow to read"), (429, "asks to slow down"), (404, "not find")],
)
def test_refusals_of_the_hub(hub: Hub, status: int, reason: str) -> None:
    hub.status = status
    with pytest.raises(ModelFileError, match=reason) as refusal:
        resolve("hf:org/minilm")
    assert refusal.value.may_retry == (status == 429)


def test_without_the_library(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused("hf:org/minilm", r"pip install 'penstock\[hub\]'", SetupError)
