"""What `penstock estimate` fetches of a model on the hub: descriptions, and no more of its weights than they need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.estimate import Told, tell
from penstock.core.errors import HubUnreachable, ModelFileError, PenstockError
from penstock.repository import library
from penstock.repository.hub import outline
from tests.hub.test_language_models import folder
from tests.hub_server import Hub
from tests.repository import ggufs
from tests.repository.folders import ir, safetensors

pytest.importorskip("openvino_genai")
LARGE = ggufs.gguf(tensors=[*ggufs.TENSORS, ("blk.0.ffn.weight", (2048, 2048), ggufs.Q8_0)])


@pytest.fixture(autouse=True)
def _small(here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(outline, "FIRST", 100_000)
    monkeypatch.setattr(outline, "CHUNK", 10_000)


def facts(told: Told) -> dict[str, Any]:
    model = told.model
    return {
        "name": told.name,
        "needs": told.needs,
        "quantization": model.quantization,
        "parameters": model.parameters,
        "weights": model.weights_bytes,
        "engine": model.engine,
    }


def sent(hub: Hub) -> int:
    return sum(asked.sent for asked in hub.asked)


def test_a_gguf_file(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/m-GGUF", {"m-Q8_0.gguf": LARGE, "mmproj-m.gguf": b"GGUF"})
    found = facts(tell("hf:org/m-GGUF", "cpu", {"context": 32}))
    assert sent(hub) < 120_000 < len(LARGE) // 10
    assert not list((tmp_path / "hf").rglob("*.gguf")), "nothing is pulled"
    library.pull("hf:org/m-GGUF")
    assert found == facts(tell("m", "cpu", {"context": 32}))


def test_a_description_that_is_longer_than_the_first_part(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outline, "FIRST", 64)
    hub.add("org/m-GGUF", {"m-Q8_0.gguf": LARGE})
    assert tell("hf:org/m-GGUF:Q8_0", "cpu", {}).model.parameters > 2048 * 2048
    assert sent(hub) < 300_000
    starts = [asked.range.partition("-")[0] for asked in hub.bodies("m-Q8_0.gguf")]
    assert len(starts) == len(set(starts)) > 1, "it goes on where it was"


def test_a_server_without_ranges(hub: Hub) -> None:
    hub.add("org/m-GGUF", {"m-Q8_0.gguf": LARGE})
    hub.ranges = False
    assert tell("hf:org/m-GGUF", "cpu", {}).model.parameters > 2048 * 2048


def test_a_folder_of_safetensors(hub: Hub) -> None:
    weights = safetensors(numbers=1_000_000)
    hub.add("org/m", folder(**{"model.safetensors": weights}))
    model = tell("hf:org/m", "cpu", {}).model
    assert (model.weights_bytes // 1000, model.quantization) == (len(weights) // 1000, "F32")
    assert sent(hub) < 150_000


def test_a_graph(hub: Hub) -> None:
    names = ("openvino_model", "openvino_tokenizer", "openvino_detokenizer")
    graph = {f"{name}.xml": ir(3_000_000) for name in names} | {f"{name}.bin": bytes(3_000_000) for name in names}
    hub.add("org/m", {**folder(), **graph})
    assert tell("hf:org/m", "cpu", {}).model.weights_bytes == 3_000_000
    assert sent(hub) < 500_000


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"m.gguf": LARGE[:2_000] + b"\xff" * 200_000}, "m.gguf"),
        ({"m.gguf": b"no model" * 100_000}, "m.gguf is no model file"),
        ({"config.json": json.dumps({"architectures": ["BertModel"]}).encode()}, "BertModel is no model"),
    ],
)
def test_what_is_no_model(hub: Hub, files: dict[str, bytes], says: str) -> None:
    hub.add("org/m", files)
    with pytest.raises(ModelFileError, match=says):
        tell("hf:org/m", "cpu", {})
    assert sent(hub) < 300_000


def test_a_hub_that_is_away(hub: Hub) -> None:
    hub.stop()
    with pytest.raises(HubUnreachable):
        tell("hf:org/m", "cpu", {})


def test_a_model_that_is_not_there(hub: Hub) -> None:
    with pytest.raises(PenstockError, match="org/absent"):
        tell("hf:org/absent", "cpu", {})
