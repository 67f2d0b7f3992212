"""A text model loads when its parts belong together, and says so when they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.signature import Fit
from penstock.core.tensors import Tensor
from penstock.core.text import TextModel
from penstock.runtimes import registry
from penstock.runtimes.text.runtime import TextRuntime
from penstock.scheduling.host import Host
from penstock.scheduling.messages import Load, Loaded
from tests.runtimes.text import tiny
from tests.runtimes.text.tiny import LONGEST, Tiny, loaded, texts


def refused(spec: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match) as refusal:
        TextRuntime().load(spec)
    assert "/" not in str(refusal.value)


def test_the_signature_says_what_goes_in_and_out(classifier: Tiny) -> None:
    signature = loaded(classifier.spec).signature
    assert (signature.task, signature.max_tokens, signature.batched) == ("classification", LONGEST, True)
    assert [(s.name, s.datatype, s.optional) for s in signature.inputs] == [
        ("text", "BYTES", False), ("text_pair", "BYTES", True), ("token_ids", "BYTES", True),
        ("truncate", "BOOL", True),
    ]  # fmt: skip
    assert [(s.name, s.datatype, s.shape, s.form) for s in signature.outputs] == [
        ("label", "BYTES", (-1,), "plain"), ("confidence", "FP32", (-1,), "plain"),
        ("scores", "FP32", (-1, 3), "object"), ("tokens", "INT32", (-1,), "plain"),
        ("truncated", "BOOL", (-1,), "plain"),
    ]  # fmt: skip
    assert signature.outputs[2].labels == tiny.LABELS["classification"]


@pytest.mark.parametrize("name", ["embedder", "classifier", "reranker", "tagger", "filler"])
def test_outputs_are_as_the_signature_says(request: pytest.FixtureRequest, name: str) -> None:
    runtime = loaded(request.getfixturevalue(name).spec)
    inputs = {"text": texts(["a <mask> [MASK]"] * 3)}
    if name == "reranker":
        inputs["text_pair"] = texts(["b"] * 3)
    assert Fit.of(runtime.signature).rows({key: Tensor("BYTES", array) for key, array in inputs.items()}) == 3
    outputs = runtime.run(inputs)
    assert list(outputs) == list(runtime.signature.output_names())
    for spec in runtime.signature.outputs:
        assert Tensor.of(outputs[spec.name]).datatype == spec.datatype
        assert outputs[spec.name].shape == tuple(3 if size == -1 else size for size in spec.shape)


def test_options_are_the_descriptions_fields() -> None:
    assert registry.entry("text").options == TextModel.__struct_fields__
    registry.check_settings("text", "cuda:0", ["pooling", "engine"])
    with pytest.raises(ConfigError, match="did you mean 'pooling'"):
        registry.check_settings("text", "cpu", ["poolng"])


def test_a_worker_warms_up_with_its_example(classifier: Tiny, reranker: Tiny) -> None:
    plain = msgspec.structs.replace(classifier.spec, example=["water flows", "a fox"])
    pairs = msgspec.structs.replace(reranker.spec, example=[{"text": "a", "text_pair": "b"}])
    for spec in (plain, pairs, classifier.spec):
        assert isinstance(Host().load(Load(spec, warmup_rows=(1, 4))), Loaded)


def test_labels_that_do_not_fit(classifier: Tiny, tagger: Tiny) -> None:
    for model, count in ((classifier, 3), (tagger, 5)):
        refused(model.described(labels=["a", "b"]), ModelFileError, f"{count} classes, but config.json names 2 labels")
    runtime = loaded(classifier.described(labels=[]))
    assert runtime.signature.outputs[2].labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_a_file_of_another_task(embedder: Tiny, classifier: Tiny, filler: Tiny) -> None:
    refused(embedder.described(task="classification"), ModelFileError, "does not fit the task classification")
    refused(classifier.described(task="fill-mask"), ModelFileError, "does not fit the task fill-mask")
    refused(classifier.described(task="reranking", activation="identity"), ModelFileError, "this file 3")
    refused(embedder.described(task="fill-mask"), ModelFileError, "do not belong together.*answers 32")
    refused(filler.described(task="reranking"), ConfigError, "sigmoid or identity")


def test_settings_that_do_not_fit(embedder: Tiny) -> None:
    refused(embedder.described(pooling="sum"), ConfigError, "options describe no text model: .*pooling")
    refused(embedder.described(engine="torch"), ConfigError, "engine: torch does not read onnx files; openvino or")
    refused(embedder.described(engine="onnxruntime", inference="bf16"), ConfigError, "engine: openvino")
    refused(embedder.described(max_length=3), ConfigError, "max_length: 3 leaves no room beside 3 special tokens")
    for changes in ({"batched": False}, {"output": "label"}):
        refused(msgspec.structs.replace(embedder.spec, **changes), ConfigError, "batched|output")


def test_tokenizer_missing_or_another_models(embedder: Tiny, tmp_path: Path) -> None:
    refused(embedder.described(tokenizer="other.json"), ModelFileError, r"other\.json is missing")
    bigger = tiny.byte_bpe()
    bigger.save(str(tmp_path / "tokenizer.json"))
    refused(embedder.described(tokenizer=str(tmp_path / "tokenizer.json")), ModelFileError, "do not belong together")


def test_changed_and_damaged_files(embedder: Tiny, tmp_path: Path) -> None:
    refused(msgspec.structs.replace(embedder.spec, sha256="0" * 64), ModelFileError, "changed")
    data = Path(embedder.spec.path).read_bytes()
    (tmp_path / "model.onnx").write_bytes(data[: len(data) // 2])
    embedder.tokenizer.save(str(tmp_path / "tokenizer.json"))
    for engine in ("auto", "openvino", "onnxruntime"):
        damaged = msgspec.structs.replace(embedder.described(engine=engine), path=str(tmp_path / "model.onnx"))
        refused(damaged, ModelFileError, "truncated or damaged")


def test_files_that_are_no_text_encoder(embedder: Tiny, tmp_path: Path) -> None:
    import onnx

    def written(names: list[str], shape: list[Any]) -> Any:
        helper = onnx.helper
        graph = helper.make_graph(
            [helper.make_node("Identity", [names[0]], ["y"])], "g",
            [helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape) for name in names],
            [helper.make_tensor_value_info("y", onnx.TensorProto.INT64, shape)],
        )  # fmt: skip
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        tokenizer = str(Path(embedder.spec.path).parent / "tokenizer.json")
        return msgspec.structs.replace(embedder.described(tokenizer=tokenizer), path=str(tmp_path / "m.onnx"))

    refused(written(["pixels"], ["rows", "length"]), ModelFileError, "no text encoder: it wants 'pixels'")
    refused(written(["attention_mask"], ["rows", "length"]), ModelFileError, "takes no 'input_ids'")
    refused(written(["input_ids"], [1, 128]), ModelFileError, r"one shape only.*1.*128.*open")
