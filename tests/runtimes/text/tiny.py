"""Text models of every architecture, small and random, with tokenizers made of a few sentences."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.core.model import ModelSpec
from penstock.core.tensors import Array, object_array
from penstock.core.text import Task, TextModel
from penstock.runtimes import registry
from penstock.runtimes.contract import Runtime
from penstock.runtimes.text.runtime import TextRuntime

SENTENCES = (
    "Anna Berg lives in Bern and works for a small bank.", "The quick brown fox jumps over the lazy dog.",
    "Paris is the capital of France, London that of England.", "water flows through the pipe to the turbine",
    "red shoes for running in winter, size forty two", "a good film with a dull end", "she sells sea shells",
)  # fmt: skip
TEXTS = (
    "Anna Berg lives in Paris", "a", "", "good shoes for the winter " * 2, "größe naïve 日本語 🙂", "the fox jumps",
    "London, England: water flows through the turbine of a small bank. ", "مرحبا a nul \0 here", "x" * 40,
)  # fmt: skip
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONGEST = 64
LABELS = {"classification": ("bad", "fair", "good"), "token-classification": ("O", "B-PER", "I-PER", "B-LOC", "LOC")}
_OUTPUTS = {"embedding": "last_hidden_state"}
_CLASSES: dict[Task, str] = {
    "embedding": "Model", "classification": "ForSequenceClassification", "reranking": "ForSequenceClassification",
    "token-classification": "ForTokenClassification", "fill-mask": "ForMaskedLM",
}  # fmt: skip
_FAMILIES = {
    "bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta", "mpnet": "MPNet", "deberta-v2": "DebertaV2",
    "modernbert": "ModernBert",
}  # fmt: skip


def wordpiece(texts: Sequence[str] = SENTENCES, size: int = 200) -> Any:
    """A tokenizer as BERT's: lower case, [CLS] and [SEP], token types for pairs."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    normalizer, words = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    said = [word for text in texts for word, _ in words.pre_tokenize_str(normalizer.normalize_str(text))]
    tokenizer = Tokenizer(models.WordPiece(pieces(said, size), unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIALS)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def pieces(words: Sequence[str], size: int) -> dict[str, int]:
    """A vocabulary: letters, words, and ends of words. The same every time, which that of tokenizers' own trainer is
    not: it walks through its hash maps."""
    letters = sorted(set("".join(words)))
    single = [*letters, *(f"##{letter}" for letter in letters)]
    ends = [f"##{word[at:]}" for word in words for at in range(1, len(word) - 1)]
    known = dict.fromkeys([*SPECIALS, *single, *_frequent(words), *_frequent(ends)])
    return {piece: number for number, piece in enumerate(list(known)[:size])}


def _frequent(said: Sequence[str]) -> list[str]:
    counts = Counter(said)
    return sorted(counts, key=lambda each: (-counts[each], each))


def byte_bpe() -> Any:
    """A tokenizer as RoBERTa's: bytes, case kept, <s> and </s>, no token types."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def in_bytes(family: str) -> bool:
    """Whether the family's tokenizer is RoBERTa's."""
    return family in ("roberta", "modernbert")


def network(family: str, task: Task, vocab_size: int) -> Any:
    """A random transformer of two layers, the same every time."""
    import torch
    import transformers

    torch.manual_seed(0)
    start = 1 if in_bytes(family) else 0
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size, "num_labels": len(LABELS.get(task, "1")), "attn_implementation": "eager",
        "max_position_embeddings": LONGEST + 2, "pad_token_id": start, "initializer_range": 0.3,
    }  # fmt: skip
    if family == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    else:
        sizes |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if family == "deberta-v2":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
    if family == "modernbert":
        sizes |= {"bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2,
                  "global_attn_every_n_layers": 2, "local_attention": 8}  # fmt: skip
    name = _FAMILIES[family]
    config = getattr(transformers, f"{name}Config")(**sizes)
    return getattr(transformers, name + _CLASSES[task])(config).eval()


def export(module: Any, file: Path, names: Sequence[str], output: str, wrap: Any = None) -> None:
    """Writes an ONNX file with open rows and length. `wrap`: from the module's output to what the file answers."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, *tensors: Any) -> Any:
            answer = self.inner(**dict(zip(names, tensors, strict=True)))
            return answer[output] if wrap is None else wrap(answer[output])

    ids = torch.full((2, 9), 5)
    tensors = [torch.ones_like(ids) if name == "attention_mask" else ids * (name == "input_ids") for name in names]
    axes = {name: {0: "rows", 1: "length"} for name in names} | {output: {0: "rows"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Wrapped().eval(), tuple(tensors), str(file), input_names=list(names), output_names=[output],
                          dynamic_axes=axes, opset_version=17, dynamo=False)  # fmt: skip


@dataclass
class Tiny:
    """A model in files, and the same in this process to compare with."""

    module: Any
    tokenizer: Any
    spec: ModelSpec

    def described(self, **changes: Any) -> ModelSpec:
        """The spec with some options changed."""
        return msgspec.structs.replace(self.spec, options={**self.spec.options, **changes})

    def torch(self, text: str, pair: str | None = None, ids: Sequence[int] | None = None) -> Array:
        """What the network itself says to one row, without padding: logits or token states, [1, ...]."""
        import torch

        encoding = self.tokenizer.encode(text, pair)
        row = torch.tensor([encoding.ids if ids is None else list(ids)])
        feed = {"input_ids": row, "attention_mask": torch.ones_like(row)}
        if pair is not None and any(encoding.type_ids):
            feed["token_type_ids"] = torch.tensor([encoding.type_ids])
        with torch.no_grad():
            answer: Array = self.module(**feed)[_OUTPUTS.get(self.spec.options["task"], "logits")].numpy()
        return answer


def make(folder: Path, family: str, task: Task, **options: Any) -> Tiny:
    """A model of that architecture for that task, as an ONNX file with its tokenizer beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = byte_bpe() if in_bytes(family) else wordpiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    vocab_size = tokenizer.get_vocab_size()
    module = network(family, task, vocab_size)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if family in ("bert", "deberta-v2") else [])]
    export(module, folder / "model.onnx", names, _OUTPUTS.get(task, "logits"))
    more = {"activation": "sigmoid"} if task == "reranking" else {}
    model = TextModel(
        task=task, architecture=family, max_length=LONGEST, labels=LABELS.get(task, ()), vocab_size=vocab_size,
        **{**more, **options},
    )  # fmt: skip
    spec = ModelSpec(
        name="tiny", runtime="text", path=str(folder / "model.onnx"), format="onnx", options=msgspec.to_builtins(model)
    )
    return Tiny(module, tokenizer, spec)


def loaded(spec: ModelSpec) -> TextRuntime:
    """A runtime with the model in it."""
    runtime: Runtime = registry.create("text")
    runtime.load(spec)
    assert isinstance(runtime, TextRuntime)
    return runtime


def texts(values: Sequence[str | bytes]) -> Array:
    """A BYTES column."""
    return object_array([value.encode() if isinstance(value, str) else value for value in values], (len(values),))


def token_ids(rows: Sequence[Sequence[int]]) -> Array:
    """A BYTES column of token ids."""
    return texts([np.asarray(row, "<i4").tobytes() for row in rows])
