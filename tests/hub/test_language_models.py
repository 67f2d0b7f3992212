"""Language models on the hub, and those that were pulled: real downloads from a hub on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ConfigError, ModelFileError, SetupError
from penstock.repository import library
from penstock.repository.pulling import Puller
from penstock.repository.sources import name_of, resolve
from tests.hub_server import Hub, Trouble
from tests.repository import ggufs
from tests.repository.folders import safetensors

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 40, "hidden_size": 32,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "eos_token_id": [2, 0], "bos_token_id": 1,
}  # fmt: skip
TOKENIZER = {"model": {"vocab": {"a": 0, "b": 39}}, "added_tokens": []}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))


def quantized(count: int) -> bytes:
    """A GGUF file that is larger the more layers it is said to have."""
    extra = [(f"blk.{number}.ffn.weight", (256, 256), ggufs.Q8_0) for number in range(count)]
    return ggufs.gguf(ggufs.settings(general__file_type=None), [*ggufs.TENSORS, *extra])


def folder(**more: Any) -> dict[str, bytes]:
    made = {"config.json": CONFIG, "tokenizer.json": TOKENIZER, "generation_config.json": {"eos_token_id": 2}} | more
    files = {name: data if isinstance(data, bytes) else json.dumps(data).encode() for name, data in made.items()}
    return {"model.safetensors": safetensors(numbers=50_000), "README.md": b"---\nlicense: mit\n---\n", **files}


@pytest.fixture
def several(hub: Hub) -> Hub:
    """A repository of GGUF files alone."""
    names = {"m-Q2_K.gguf": 1, "m-Q4_K_M.gguf": 3, "m-Q8_0.gguf": 5, "mmproj-m-f16.gguf": 1}
    hub.add("org/m-GGUF", {name: quantized(count) for name, count in names.items()} | {"README.md": b"hello"})
    return hub


# --- which file


@pytest.mark.usefixtures("here")
def test_the_usual_quantization_unless_another_is_named(several: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    spec = resolve("hf:org/m-GGUF")
    assert (spec.name, spec.runtime, spec.format, Path(spec.path).name) == ("m", "llm", "gguf", "m-Q4_K_M.gguf")
    assert "Q4_K_M is taken of 3 GGUF files; another is named as hf:org/m-GGUF:Q8_0" in capsys.readouterr().err
    for source in ("hf:org/m-GGUF:q8_0", "hf.co/org/m-GGUF:Q8_0", "https://huggingface.co/org/m-GGUF:Q8_0"):
        assert Path(resolve(source).path).name == "m-Q8_0.gguf"
    assert Path(resolve("hf:org/m-GGUF/m-Q2_K.gguf").path).name == "m-Q2_K.gguf"
    assert not any("README" in asked.path or "mmproj" in asked.path for asked in several.asked)


@pytest.mark.usefixtures("here")
def test_a_quantization_that_is_not_there(several: Hub) -> None:
    with pytest.raises(ModelFileError, match="no GGUF file in Q5_K_M; there is Q2_K, Q4_K_M, Q8_0"):
        resolve("hf:org/m-GGUF:Q5_K_M")
    assert not any(asked.path.startswith("/cdn/") for asked in several.asked)


@pytest.mark.usefixtures("here")
def test_the_smallest_of_enough_bits(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"m-Q2_K.gguf": quantized(1), "m-Q6_K.gguf": quantized(4), "m-Q5_K_S.gguf": quantized(3)}
    hub.add("org/m", files)
    assert Path(resolve("hf:org/m").path).name == "m-Q5_K_S.gguf"
    assert "the smallest of at least 4 bits" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_all_parts_of_a_file(hub: Hub) -> None:
    first = ggufs.gguf(tensors=ggufs.TENSORS[:2])
    second = ggufs.gguf({"split.no": 1}, tensors=ggufs.TENSORS[2:])
    hub.add("org/m", {"q8/m-Q8_0-00001-of-00002.gguf": first, "q8/m-Q8_0-00002-of-00002.gguf": second})
    spec = resolve("hf:org/m:Q8_0")
    assert Path(spec.path).name == "m-Q8_0-00001-of-00002.gguf"
    assert spec.options["parts"] == 2
    hub.add("org/half", {"m-Q8_0-00001-of-00002.gguf": first})
    with pytest.raises(ModelFileError, match=r"one of 2 parts, and m-Q8_0-00002-of-00002\.gguf is missing"):
        resolve("hf:org/half")


@pytest.mark.usefixtures("here")
def test_a_folder_of_safetensors(hub: Hub) -> None:
    hub.add("org/chat", folder(**{"pytorch_model.bin": b"pickle", "original/x.pth": b"x", "modeling.py": b"import os"}))
    spec = resolve("hf:org/chat")
    assert (spec.name, spec.runtime, spec.format) == ("chat", "llm", "causal-lm")
    assert (spec.options["eos"], spec.options["license"], spec.options["title"]) == ((2,), "mit", "chat")
    got = {path.name for path in Path(spec.path).rglob("*") if path.is_file()}
    assert got == {"config.json", "tokenizer.json", "generation_config.json", "model.safetensors", "README.md"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"config.json": {**CONFIG, "auto_map": {"AutoModel": "modeling.Evil"}}}, "auto_map.*runs no code"),
        ({"config.json": {**CONFIG, "vision_config": {}}}, "sees or hears"),
        ({"config.json": {**CONFIG, "attn_implementation": "org/kernel"}}, "names a kernel"),
        ({"tokenizer.json": {"model": {"vocab": {"a": 400}}}}, "not of one model"),
        ({"model.safetensors": b"", "config.json": {**CONFIG, "num_hidden_layers": 0}}, "layers"),
    ],
)
def test_refused_before_anything_large(hub: Hub, more: dict[str, Any], reason: str) -> None:
    hub.add("org/evil", folder(**more))
    with pytest.raises(ModelFileError, match=reason):
        resolve("hf:org/evil")
    assert not any(asked.path.startswith("/cdn/") for asked in hub.asked)


@pytest.mark.usefixtures("here")
def test_embeddings_of_a_language_model_are_a_text_model(hub: Hub) -> None:
    config = {**CONFIG, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    hub.add("org/embed", folder(**{"config.json": config}))
    spec = resolve("hf:org/embed", options={"task": "embedding", "pooling": "last"})
    assert spec.runtime == "text"


# --- pulled by name


def test_pull_serve_and_remove(several: Hub, tmp_path: Path) -> None:
    told: list[Any] = []
    entry = library.pull("hf:org/m-GGUF", say=told.append)
    assert (entry.name, entry.source, entry.family, entry.format) == ("m", "hf:org/m-GGUF", "llama", "gguf")
    assert entry.size == len(quantized(3))
    assert entry.digest.startswith("sha256:")
    assert all(progress.completed <= progress.total for progress in told)
    assert library.entries() == [entry] == [library.find("m:latest")]
    spec = resolve("m", base=tmp_path)
    assert (spec.name, spec.runtime, Path(spec.path).name) == ("m", "llm", "m-Q4_K_M.gguf")
    assert spec.details["repo"] == "org/m-GGUF"
    assert name_of("m", tmp_path) == "m"
    other = library.pull("hf:org/m-GGUF:Q8_0")
    assert other.name == "m-Q8_0"
    asked = len(several.asked)
    assert library.pull("m").digest == entry.digest
    assert not any(each.path.startswith("/cdn/") for each in several.asked[asked:])
    library.remove("m")
    assert not Path(spec.path).exists()
    assert Path(other.path).is_file()
    library.remove("m-Q8_0")
    assert not list((tmp_path / "hf" / "hub").glob("models--*"))
    with pytest.raises(ConfigError, match="no model 'm' was pulled"):
        library.remove("m")


@pytest.mark.usefixtures("here")
def test_what_two_names_share_stays_until_the_last_goes(several: Hub) -> None:
    first = library.pull("hf:org/m-GGUF:Q4_K_M", "one")
    second = library.pull("hf:org/m-GGUF", "two")
    assert first.path == second.path
    library.remove("one")
    assert Path(second.path).is_file()
    library.remove("two")
    assert not Path(second.path).exists()


@pytest.mark.usefixtures("here")
def test_a_newer_commit_takes_the_place_of_the_old_one(hub: Hub, tmp_path: Path) -> None:
    repository = hub.add("org/m-GGUF", {"m-Q8_0.gguf": quantized(1)})
    old = library.pull("hf:org/m-GGUF")
    kept = library.pull("hf:org/m-GGUF", "kept")
    repository.commit({"m-Q8_0.gguf": quantized(2)})
    new = library.pull("m")
    assert new.commit != old.commit
    assert Path(kept.path).is_file(), "another name has it still"
    library.pull("kept")
    assert not Path(old.path).exists()
    assert Path(new.path).is_file()
    assert len([path for path in (tmp_path / "hf").rglob("blobs/*") if path.is_file()]) == 1
    library.remove("kept")
    library.remove("m")
    assert not list((tmp_path / "hf" / "hub").glob("models--*"))


@pytest.mark.usefixtures("here")
def test_names_that_are_taken_or_none(several: Hub) -> None:
    several.add("org/other", {"x.gguf": quantized(2)})
    library.pull("hf:org/m-GGUF", "mine")
    with pytest.raises(ConfigError, match="the name mine is hf:org/m-GGUF already"):
        library.pull("hf:org/other", "mine")
    with pytest.raises(ConfigError, match="cannot be used"):
        library.pull("hf:org/other", "../evil")
    with pytest.raises(ConfigError, match="pulled from the hub as hf:org/other"):
        library.pull("org/other")
    with pytest.raises(ConfigError, match="nothing on the hub"):
        library.pull("llama3")


@pytest.mark.usefixtures("here")
def test_files_that_are_gone(several: Hub, tmp_path: Path) -> None:
    entry = library.pull("hf:org/m-GGUF")
    Path(entry.path).resolve().unlink()
    with pytest.raises(ModelFileError, match="gone from the hub's cache; get them again: penstock pull m"):
        resolve("m", base=tmp_path)
    assert library.pull("m").complete
    assert resolve("m", base=tmp_path).runtime == "llm"


@pytest.mark.usefixtures("here")
def test_a_damaged_list_is_not_overwritten(several: Hub, tmp_path: Path) -> None:
    library.pull("hf:org/m-GGUF")
    (tmp_path / "cache" / "library.json").write_text("{")
    with pytest.raises(SetupError, match="list of pulled models is damaged"):
        library.pull("hf:org/m-GGUF:Q8_0")
    assert (tmp_path / "cache" / "library.json").read_text() == "{"


def test_two_pulls_at_once_are_both_noted(several: Hub) -> None:
    threads = [
        threading.Thread(target=library.pull, args=(f"hf:org/m-GGUF:{kind}",)) for kind in ("Q2_K", "Q4_K_M", "Q8_0")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(library.entries()) == 3


def test_reports_while_it_comes(several: Hub) -> None:

    async def watch() -> list[dict[str, Any]]:
        found = []
        async for report in Puller().pull("hf:org/m-GGUF"):
            found.append(report)
        return found

    found = asyncio.run(watch())
    assert found[0] == {"status": "pulling manifest"}
    assert found[-1] == {"status": "success"}


def test_a_download_that_is_given_up_goes_on_next_time(several: Hub) -> None:
    large = ggufs.gguf(tensors=[*ggufs.TENSORS, ("blk.0.ffn.weight", (2048, 2048), ggufs.Q8_0)])
    several.add("org/m-GGUF", {"m-Q8_0.gguf": large})
    several.troubles["m-Q8_0.gguf"] = Trouble(times=1, stall=3_000_000)

    async def leave() -> float:
        reports = Puller().pull("hf:org/m-GGUF:Q8_0")
        async for report in reports:
            if report.get("completed"):
                break
        begun = time.monotonic()
        await reports.aclose()  # type: ignore[attr-defined]
        return time.monotonic() - begun

    assert asyncio.run(leave()) < 5
    assert library.find("m-Q8_0") is None
    asked = len(several.asked)
    assert library.pull("hf:org/m-GGUF:Q8_0").complete
    ranges = [each.range for each in several.asked[asked:] if each.path.startswith("/cdn/")]
    assert ranges
    assert all(each.startswith("bytes=") and not each.startswith("bytes=0-") for each in ranges)
