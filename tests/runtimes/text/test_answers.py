"""Every architecture and every task answers as torch does, whatever its neighbours in the batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.tensors import Array
from penstock.core.text import Task
from penstock.runtimes.text.runtime import TextRuntime
from tests.runtimes.text import tiny
from tests.runtimes.text.tiny import TEXTS, Tiny, loaded, texts, token_ids


def near(got: Array, wanted: Array) -> None:
    np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


FORMULAS: dict[str, Any] = {
    "mean": lambda states: states.mean(axis=0),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(axis=0),
    "last": lambda states: states[-1],
}


@pytest.mark.parametrize("pooling", FORMULAS)
@pytest.mark.parametrize("normalize", [False, True])
def test_pooling(embedder: Tiny, pooling: str, normalize: bool) -> None:
    runtime = loaded(embedder.described(pooling=pooling, normalize=normalize))
    got = runtime.run({"text": texts(TEXTS)})["embedding"]
    for row, text in enumerate(TEXTS):
        wanted = FORMULAS[pooling](embedder.torch(text)[0])
        near(got[row], wanted / np.linalg.norm(wanted) if normalize else wanted)


@pytest.mark.parametrize("family", ["bert", "roberta", "mpnet", "modernbert", "deberta-v2"])
def test_architectures(tmp_path: Path, family: str) -> None:
    model = tiny.make(tmp_path, family, "embedding", pooling="mean")
    got = loaded(model.spec).run({"text": texts(TEXTS)})["embedding"]
    for row, text in enumerate(TEXTS):
        near(got[row], model.torch(text)[0].mean(axis=0))


def test_a_network_that_pools_by_itself_is_believed(embedder: Tiny, tmp_path: Path) -> None:
    tiny.export(embedder.module, tmp_path / "m.onnx", ["input_ids", "attention_mask"], "last_hidden_state",
                wrap=lambda states: states[:, 0] * 2)  # fmt: skip
    described = embedder.described(tokenizer=str(Path(embedder.spec.path).parent / "tokenizer.json"))
    spec = msgspec.structs.replace(described, path=str(tmp_path / "m.onnx"))
    got = loaded(spec).run({"text": texts(TEXTS)})["embedding"]
    near(got, np.concatenate([embedder.torch(text)[:, 0] * 2 for text in TEXTS]))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "identity"])
def test_classification(classifier: Tiny, activation: str) -> None:
    got = loaded(classifier.described(activation=activation)).run({"text": texts(TEXTS)})
    logits = np.concatenate([classifier.torch(text) for text in TEXTS])
    formulas = {"softmax": softmax, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "identity": lambda x: x}
    scores = formulas[activation](logits)
    near(got["scores"], scores)
    near(got["confidence"], scores.max(axis=1))
    labels = tiny.LABELS["classification"]
    assert got["label"].tolist() == [labels[number].encode() for number in logits.argmax(axis=1)]
    assert len(set(got["label"].tolist())) > 1


def test_pairs_have_token_types_of_their_own(classifier: Tiny) -> None:
    others = tuple(reversed(TEXTS))
    got = loaded(classifier.spec).run({"text": texts(TEXTS[:3]), "text_pair": texts(others[:3])})["scores"]
    near(got, softmax(np.concatenate([classifier.torch(*pair) for pair in zip(TEXTS[:3], others, strict=False)])))


@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
def test_reranking(reranker: Tiny, activation: str) -> None:
    documents = ["water flows", "red shoes for the winter and a good film", "", "Paris is the capital of France"]
    got = loaded(reranker.described(activation=activation)).run(
        {"text": texts(["winter shoes"] * 4), "text_pair": texts(documents)}
    )
    logits = np.concatenate([reranker.torch("winter shoes", each)[0] for each in documents])
    near(got["score"], logits if activation == "identity" else 1 / (1 + np.exp(-logits)))
    assert got["tokens"].tolist() == [len(reranker.tokenizer.encode("winter shoes", each)) for each in documents]


def pipeline(model: Tiny, task: str, **more: Any) -> Any:
    """transformers' own pipeline over the same network."""
    import transformers

    names = [token.content for token in model.tokenizer.get_added_tokens_decoder().values()]
    unknown, mask = next(n for n in names if "unk" in n.lower()), next(n for n in names if "mask" in n.lower())
    pad = next(n for n in names if "pad" in n.lower())
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model.tokenizer, unk_token=unknown, mask_token=mask, pad_token=pad
    )
    fast.model_input_names = ["input_ids", "attention_mask"]
    return transformers.pipeline(task, model=model.module, tokenizer=fast, device="cpu", **more)


def test_entities_as_in_the_pipeline(tagger: Tiny) -> None:
    tagger.module.config.id2label = dict(enumerate(tiny.LABELS["token-classification"]))
    theirs = pipeline(tagger, "token-classification", aggregation_strategy="simple")
    said = [text for text in TEXTS if text]
    got = loaded(tagger.spec).run({"text": texts(said)})["entities"]
    found = 0
    for text, answer in zip(said, got, strict=True):
        ours = json.loads(answer)
        wanted = theirs(text)
        assert [(e["entity"], e["start"], e["end"]) for e in ours] == [
            (e["entity_group"], e["start"], e["end"]) for e in wanted
        ]
        near(np.array([e["score"] for e in ours]), np.array([e["score"] for e in wanted]))
        assert all(text[e["start"] : e["end"]] == e["text"] for e in ours)
        found += len(ours)
    assert found > 10


def test_tokens_by_themselves(tagger: Tiny) -> None:
    text = "Anna Berg lives in Paris"
    [got] = loaded(tagger.described(aggregation="none")).run({"text": texts([text])})["entities"]
    labels, encoding = tiny.LABELS["token-classification"], tagger.tokenizer.encode(text)
    best = [labels[number] for number in tagger.torch(text)[0].argmax(axis=1)]
    wanted = [(label, *span) for label, span, special
              in zip(best, encoding.offsets, encoding.special_tokens_mask, strict=True)
              if not special and label != "O"]  # fmt: skip
    assert [(e["entity"], e["start"], e["end"]) for e in json.loads(got)] == wanted
    assert wanted


def test_entities_of_token_ids_have_no_place(tagger: Tiny) -> None:
    text = "Anna Berg lives in Paris"
    runtime = loaded(tagger.spec)
    [by_text] = runtime.run({"text": texts([text])})["entities"]
    ids = token_ids([tagger.tokenizer.encode(text).ids])
    [by_ids] = runtime.run({"text": texts([""]), "token_ids": ids})["entities"]
    assert [e["entity"] for e in json.loads(by_ids)] == [e["entity"] for e in json.loads(by_text)]
    assert all(e["start"] is None and e["text"] for e in json.loads(by_ids))


def test_prompt_and_case_do_not_move_entities(tagger: Tiny) -> None:
    prompt, text = "find: ", "İ Anna Berg lives in Paris, the capital of France"
    [got] = loaded(tagger.described(prompt=prompt, lower_case=True)).run({"text": texts([text])})["entities"]
    entities = json.loads(got)
    assert entities
    assert all(text[e["start"] : e["end"]] == e["text"] for e in entities)
    assert any(e["text"] != e["text"].lower() for e in entities)


def test_masks_as_in_the_pipeline(filler: Tiny) -> None:
    theirs = pipeline(filler, "fill-mask")
    said = ["Paris is the <mask> of France", "a good <mask> with a <mask> end", "<mask>"]
    got = loaded(filler.spec).run({"text": texts(said)})["candidates"]
    for text, answer in zip(said, got, strict=True):
        wanted = theirs(text)
        wanted = wanted if isinstance(wanted[0], list) else [wanted]
        ours = json.loads(answer)
        assert [[c["token"] for c in mask] for mask in ours] == [[c["token_str"] for c in mask] for mask in wanted]
        near(np.array([[c["score"] for c in mask] for mask in ours]),
             np.array([[c["score"] for c in mask] for mask in wanted]))  # fmt: skip
    first = json.loads(got[0])[0][0]
    assert first["sequence"] == said[0].replace("<mask>", first["token"])
    assert "<mask>" in json.loads(got[1])[0][0]["sequence"]


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", ["embedder", "classifier", "tagger", "filler"])
def test_a_row_alone_is_as_in_a_batch(request: pytest.FixtureRequest, name: str, engine: str) -> None:
    runtime = loaded(request.getfixturevalue(name).described(engine=engine))
    said = [f"{text} <mask> [MASK]" for text in TEXTS] * 4
    together = runtime.run({"text": texts(said)})
    for row in range(len(TEXTS)):
        alone = runtime.run({"text": texts([said[row]])})
        for output, array in together.items():
            if array.dtype.kind == "f":
                near(array[row], alone[output][0])
            elif array.dtype != object:
                assert array[row] == alone[output][0]


def test_prompt_goes_before_every_text(embedder: Tiny) -> None:
    runtime = loaded(embedder.described(prompt="query: "))
    [got] = runtime.run({"text": texts(["water flows"])})["embedding"]
    near(got, embedder.torch("query: water flows")[0].mean(axis=0))
    ids = token_ids([embedder.tokenizer.encode("water flows").ids])
    [got] = runtime.run({"text": texts([""]), "token_ids": ids})["embedding"]
    near(got, embedder.torch("water flows")[0].mean(axis=0))


def test_lower_case(filler: Tiny) -> None:
    text = "The FOX <mask> over"
    lowered = loaded(filler.described(lower_case=True)).run({"text": texts([text])})["candidates"]
    assert lowered.tolist() == loaded(filler.spec).run({"text": texts([text.lower()])})["candidates"].tolist()
    assert lowered.tolist() != loaded(filler.spec).run({"text": texts([text])})["candidates"].tolist()


TASKS: tuple[Task, ...] = ("embedding", "classification", "token-classification", "fill-mask")


@pytest.mark.parametrize("task", TASKS)
def test_zero_rows(tmp_path: Path, task: Task) -> None:
    runtime: TextRuntime = loaded(tiny.make(tmp_path, "bert", task).spec)
    outputs = runtime.run({"text": texts([])})
    assert list(outputs) == list(runtime.signature.output_names())
    assert {len(array) for array in outputs.values()} == {0}
