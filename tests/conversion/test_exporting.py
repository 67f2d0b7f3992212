"""Every architecture becomes a graph that answers as torch does; what does not is refused with the numbers."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.conversion import exporting, feeds, networks
from penstock.conversion.networks import Network
from penstock.core.errors import ModelFileError, UntrustedFile
from penstock.core.model import ModelSpec
from penstock.core.text import Task, TextModel
from tests.conversion import folders
from tests.runtimes.text import tiny

pytest.importorskip("openvino")
transformers: Any = pytest.importorskip("transformers")
CASES: list[tuple[str, Task]] = [
    *[(family, "embedding") for family in ("bert", "distilbert", "roberta", "mpnet", "deberta-v2", "modernbert")],
    *[(family, "classification") for family in ("bert", "distilbert", "roberta", "mpnet", "deberta-v2", "modernbert")],
    ("bert", "reranking"),
    ("deberta-v2", "token-classification"),
    ("roberta", "fill-mask"),
]
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
OTHERS = {
    "XLMRobertaConfig": {**_SIZES, "type_vocab_size": 1},
    "ElectraConfig": {**_SIZES, "embedding_size": 16},
    "AlbertConfig": {**_SIZES, "embedding_size": 16},
    "CamembertConfig": _SIZES,
    "DebertaConfig": {**_SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "XLMConfig": {"emb_dim": 32, "n_layers": 2, "n_heads": 4},
    "Qwen3Config": {**_SIZES, "num_key_value_heads": 2, "head_dim": 8},
}


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Exporters warn of themselves; conversion runs them in a process where nobody listens."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def graph_of(network: Network, folder: Path, **options: Any) -> tuple[ModelSpec, TextModel]:
    """The exported graph and its description."""
    assert exporting.export(network, folder / "model.onnx") == "tracing"
    model = TextModel(**{"task": "embedding", "vocab_size": network.known, **options})
    return ModelSpec(name="m", runtime="text", path=str(folder / "model.onnx"), format="onnx"), model


@pytest.mark.parametrize(("family", "task"), CASES)
def test_the_graph_answers_as_the_network(family: str, task: Task, tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / family, family, task)
    spec = folders.spec(folder)
    model = msgspec.convert(spec.options, TextModel)
    assert (model.task, spec.format) == (task, "safetensors")
    network = networks.load(spec, model)
    graph, _ = graph_of(network, tmp_path)
    for engine in ("openvino", "onnxruntime"):
        running = feeds.engine(graph, msgspec.structs.replace(model, engine=engine), network.padding)
        found = exporting.agreement(network, running, model.max_length)
        assert found["shapes"] >= 4
        assert found["difference_max"] < 1e-5


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures(name: str, tmp_path: Path) -> None:
    config = getattr(transformers, name)(vocab_size=100, max_position_embeddings=66, pad_token_id=1, **OTHERS[name])
    module = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    network = Network(module, "embedding")
    graph, model = graph_of(network, tmp_path, engine="openvino")
    found = exporting.agreement(network, feeds.engine(graph, model, network.padding), 64)
    assert found["difference_max"] < 1e-5


def random_network(name: str, **settings: Any) -> Network:
    """An encoder with random weights, by the name of its configuration."""
    config = getattr(transformers, name)(vocab_size=100, max_position_embeddings=130, pad_token_id=1, **settings)
    return Network(transformers.AutoModel.from_config(config).eval(), "embedding")


def test_a_trace_that_keeps_decisions_for_one_length_is_refused_with_the_numbers(tmp_path: Path) -> None:
    """Longformer pads its input to whole windows, as many as the traced example needs."""
    network = random_network("LongformerConfig", attention_window=16, **_SIZES)
    graph, model = graph_of(network, tmp_path, engine="openvino")
    with pytest.raises(
        ModelFileError, match=r"LongformerModel cannot be converted: for . rows of \d+ tokens its answers"
    ):
        exporting.agreement(network, feeds.engine(graph, model, network.padding), 128)


def test_the_second_exporter_and_a_network_without_a_mask(tmp_path: Path) -> None:
    """FNet's Fourier transform is unknown to the first exporter, and mixes in the padding."""
    pytest.importorskip("onnxscript")
    sizes = {name: size for name, size in _SIZES.items() if name != "num_attention_heads"}
    network = random_network("FNetConfig", **sizes)
    assert exporting.export(network, tmp_path / "model.onnx") == "dynamo"
    graph = ModelSpec(name="m", runtime="text", path=str(tmp_path / "model.onnx"), format="onnx")
    engine = feeds.engine(graph, TextModel(task="embedding", engine="openvino"), network.padding)
    with pytest.raises(ModelFileError, match=r"padding changes its answers \(by .*it obeys no attention mask"):
        exporting.agreement(network, engine, 128)


def test_an_encoder_that_writes_too_is_refused_by_name(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    network = Network(transformers.AutoModel.from_config(config).eval(), "embedding")
    with pytest.raises(ModelFileError, match=r"T5Model cannot be converted: torch cannot export.*BERT, DistilBERT"):
        exporting.export(network, tmp_path / "model.onnx")


# --- folders that cannot be read


def described(folder: Path, **options: Any) -> tuple[ModelSpec, TextModel]:
    spec = folders.spec(folder, options=options)
    return spec, msgspec.convert(spec.options, TextModel)


def test_a_body_without_its_head_is_not_served_with_a_random_one(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    config = json.loads((folder / "config.json").read_bytes())
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match=r"the weights lack 2 parts of the network \(classifier.bias"):
        networks.load(*described(folder))


def test_an_architecture_that_transformers_does_not_know(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "zebra", "architectures": ["ZebraModel"]}))
    with pytest.raises(ModelFileError, match=r"no network of the architecture 'zebra'.*ModernBERT.*model\.onnx"):
        networks.load(*described(folder))


def test_weights_of_other_shapes(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 128}))
    with pytest.raises(ModelFileError, match=r"do not have the shapes that config\.json describes"):
        networks.load(*described(folder))


def test_a_pickle_of_weights_is_read_when_it_is_trusted(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    folder, module = folders.random(tmp_path / "bert", "bert", "embedding")
    (folder / "model.safetensors").unlink()
    torch.save(module.state_dict(), folder / "pytorch_model.bin")
    digest = hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    with pytest.raises(UntrustedFile, match=digest):
        folders.spec(folder)
    spec = folders.spec(folder, trust=frozenset({f"sha256:{digest}"}))
    model = msgspec.convert(spec.options, TextModel)
    ids, mask = exporting.drawn(networks.load(spec, model), 2, 5)
    answer = networks.load(spec, model).run(ids, mask)
    np.testing.assert_allclose(answer, Network(module, "embedding").run(ids, mask), atol=1e-6)
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="is not the file that was trusted"):
        networks.load(spec, model)


def test_only_real_tokens_count(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "roberta", "roberta", "embedding")
    network = networks.load(*described(folder))
    ids, mask = exporting.drawn(network, 3, 12)
    assert network.padding == tiny.byte_bpe().token_to_id("<pad>")
    assert ((ids == network.padding) == (mask == 0)).all()
    assert mask.sum(axis=1).tolist() == [12, 9, 6]
    again = exporting.drawn(network, 3, 12)
    np.testing.assert_array_equal(ids, again[0])
