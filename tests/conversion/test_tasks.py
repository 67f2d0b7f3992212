"""Every task of text models in int8, compared with itself in fp32 by what clients get."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.conversion import feeds, measuring
from penstock.conversion.convert import convert
from penstock.conversion.jobs import Convert, Measure
from penstock.core.model import ModelSpec
from penstock.core.text import Precision, Task
from tests.conversion import folders
from tests.conversion.trained import Trained
from tests.runtimes.text import tiny

pytest.importorskip("openvino")
pytest.importorskip("nncf")
pytest.importorskip("transformers")
FIGURES = {
    "reranking": "order_kept",
    "token-classification": "entity_f1",
    "fill-mask": "best_candidate_agreement",
    "embedding": "cosine_median",
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Libraries warn of themselves; conversion runs them in a process where nobody listens."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def made(source: ModelSpec, folder: Path, precision: Precision, **changes: Any) -> ModelSpec:
    """What the converter's process makes, made in this one."""
    folder.mkdir()
    job = Convert(spec=source, folder=str(folder), precision=precision, engine=changes.pop("engine", "openvino"))
    found = convert(job, lambda text: None)
    return msgspec.structs.replace(
        source, path=str(folder / found.file), format=found.format, options=found.options, precision=precision
    )


def compared(before: ModelSpec, after: ModelSpec) -> Any:
    return measuring.measure(Measure(before=before, after=after), lambda text: None).quality


@pytest.mark.parametrize(
    ("family", "task"),
    [("bert", "reranking"), ("distilbert", "token-classification"), ("roberta", "fill-mask"), ("mpnet", "embedding")],
)
def test_a_task_in_int8(family: str, task: Task, tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / family, family, task)
    plain = made(folders.spec(folder), tmp_path / "fp32", "fp32")
    small = made(plain, tmp_path / "int8", "int8")
    same, found = compared(plain, plain), compared(plain, small)
    assert (same.loss, same.data) == (pytest.approx(0, abs=1e-6), feeds.OWN)
    assert same.figures[FIGURES[task]] == pytest.approx(1)
    assert (found.task, found.rows) == (task, 154)
    assert found.loss < 0.25
    weights = [Path(spec.path).with_suffix(".bin").stat().st_size for spec in (plain, small)]
    assert weights[1] < 0.5 * weights[0]


def test_a_trained_classifier_in_int4_and_on_onnx_runtime(classifier: Trained, tmp_path: Path) -> None:
    plain = made(folders.spec(classifier.folder), tmp_path / "fp32", "fp32")
    assert compared(plain, made(plain, tmp_path / "int4", "int4")).figures["label_agreement"] > 0.95
    graph = made(folders.spec(classifier.folder), tmp_path / "onnx", "fp32", engine="onnxruntime")
    for precision in ("int8", "int4", "fp16"):
        small = made(graph, tmp_path / f"onnx-{precision}", precision, engine="onnxruntime")
        assert (small.format, small.options["inference"]) == ("onnx", "f32")
        found = compared(on_onnx_runtime(graph), on_onnx_runtime(small))
        assert found.figures["label_agreement"] > 0.9
        assert Path(small.path).stat().st_size < 0.75 * Path(graph.path).stat().st_size


def on_onnx_runtime(spec: ModelSpec) -> ModelSpec:
    return msgspec.structs.replace(spec, options={**spec.options, "engine": "onnxruntime"})


def test_a_folder_that_holds_an_onnx_file(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "classification")
    exported = made(folders.spec(folder), tmp_path / "onnx", "fp32", engine="onnxruntime")
    Path(exported.path).rename(folder / "model.onnx")
    spec = folders.spec(folder)
    assert spec.format == "onnx"
    small = made(spec, tmp_path / "int8", "int8")
    assert small.format == "openvino"
    assert compared(spec, small).figures["label_agreement"] > 0.9


def test_a_process_that_is_killed_leaves_its_files_where_the_cache_clears_them(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    target = tmp_path / "derived" / "folder"
    target.mkdir(parents=True)
    seen: list[list[str]] = []
    job = Convert(spec=folders.spec(folder), folder=str(target), precision="fp32", engine="openvino")
    convert(job, lambda text: seen.append([path.name for path in target.parent.iterdir()]))
    assert len(seen) > 2
    assert all(names == ["folder"] for names in seen)
    assert sorted(path.name for path in target.iterdir()) == ["model.bin", "model.xml", "tokenizer.json"]


def test_it_is_compared_with_torch_as_far_as_the_network_reads(tmp_path: Path) -> None:
    """Whoever asked for a short max_length first: the files are kept for those who do not, too."""
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    for length in (None, 4):
        spec = folders.spec(folder, options={"max_length": length} if length else {})
        (tmp_path / str(length)).mkdir()
        job = Convert(spec=spec, folder=str(tmp_path / str(length)), precision="fp32", engine="openvino")
        assert convert(job, lambda text: None).notes["agreement"]["shapes"] == 4


def test_a_network_that_looks_for_the_last_token_before_the_padding(tmp_path: Path) -> None:
    """GPT-2's kind: the tokenizer has no padding token of its own, and the network's is one that config.json names."""
    torch: Any = pytest.importorskip("torch")
    transformers: Any = pytest.importorskip("transformers")
    tokenizer = tiny.byte_bpe()
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=40, n_embd=32, n_layer=2, n_head=2, num_labels=3,
        pad_token_id=3, initializer_range=0.3,
    )  # fmt: skip
    module = transformers.GPT2ForSequenceClassification(config).eval()
    folder = folders.save(tmp_path / "gpt", module, tokenizer, ("bad", "fair", "good"))
    spec = folders.spec(folder)
    runtime = tiny.loaded(made(spec, tmp_path / "fp32", "fp32"))
    texts = ["the fox jumps over a lazy dog", "a", "red shoes"]
    found = runtime.run({"text": tiny.texts(texts)})["scores"]
    alone = [runtime.run({"text": tiny.texts([text])})["scores"][0] for text in texts]
    with torch.no_grad():
        logits = [module(torch.tensor([tokenizer.encode(text).ids])).logits[0] for text in texts]
    expected = np.stack([row.softmax(-1).numpy() for row in logits])
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.stack(alone) == pytest.approx(expected, abs=1e-4)
