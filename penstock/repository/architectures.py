"""What a network is for, by the name of its class in config.json."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.text import Task

MAX_LABELS = 1_000_000
SEQUENCE = "ForSequenceClassification"
_TASKS: dict[str, Task] = {
    SEQUENCE: "classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
    "Model": "embedding",
}
# Heads that the class must have; any network can give embeddings, which come from its body.
_HEADS: dict[Task, tuple[str, ...]] = {
    "classification": (SEQUENCE,),
    "reranking": (SEQUENCE,),
    "token-classification": ("ForTokenClassification",),
    "fill-mask": ("ForMaskedLM", "ForPreTraining"),
}
_WRITERS = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel", "ForSpeechSeq2Seq")
_WRITES = (
    "text models read it (for its embeddings, say options: {task: embedding}), and of models that write, those are "
    "served that continue a text (*ForCausalLM, with runtime: llm)"
)
_OTHER_SENSES = ("vision_config", "audio_config", "speech_config", "image_size", "num_mel_bins")
# Their plain bodies say nothing about a sentence unless somebody trained them to, and says how to pool.
DECODERS = {
    "bloom", "codegen", "cohere", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_bigcode", "gpt_neo",
    "gpt_neox", "gptj", "llama", "mistral", "mixtral", "mpt", "olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3",
    "stablelm", "starcoder2",
}  # fmt: skip
# Position ids begin after the padding token's, so that many positions are never used.
_AFTER_PADDING = {
    "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
# These know how far tokens are apart, not where they are: their max_position_embeddings does not bound the input.
_RELATIVE = {"mt5", "t5", "umt5", "xlnet"}


class Config(msgspec.Struct):
    """The keys of config.json that matter here."""

    architectures: list[str] | None = None
    model_type: str = ""
    id2label: dict[str, str | int] | None = None
    num_labels: int | None = None
    problem_type: str | None = None
    function_to_apply: str | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    n_positions: int | None = None
    pad_token_id: int | list[int] | None = None
    is_encoder_decoder: bool = False
    position_biased_input: bool = True
    auto_map: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None
    sentence_transformers: dict[str, Any] | None = None
    sbert_ce_default_activation_function: str | None = None
    # Signs of a network that sees or hears.
    vision_config: Any = None
    audio_config: Any = None
    speech_config: Any = None
    image_size: Any = None
    num_mel_bins: Any = None

    @property
    def architecture(self) -> str:
        """The class that was saved ("BertModel"), or ""."""
        return self.architectures[0] if self.architectures else ""

    @property
    def positions(self) -> int | None:
        """How many there are; GPT-2 and its kin have a name of their own for it."""
        return self.max_position_embeddings or self.n_positions

    @property
    def padding(self) -> int | None:
        """The token id that fills up, or None where the file names none (-1 means that, too)."""
        number = self.pad_token_id
        return number if isinstance(number, int) and 0 <= number < (self.vocab_size or 0) else None


def check_reads_text(config: Config) -> None:
    """Raises `ModelFileError` for networks that read images or sound, and for those without a vocabulary."""
    name = config.architecture or config.model_type or "this network"
    senses = [key for key in _OTHER_SENSES if getattr(config, key) is not None]
    if senses or not config.vocab_size or config.vocab_size < 1:
        reason = f"config.json has {senses[0]}" if senses else "config.json has no vocab_size"
        raise ModelFileError(
            f"{name} is no model that reads text alone ({reason}); if the folder has an ONNX file, serve that with "
            "runtime: onnx"
        )


def task_of(config: Config) -> Task:
    """The task of a network by its class. Raises `ModelFileError` when it is for something that is not served."""
    name = config.architecture
    if not name:
        raise ModelFileError(
            "config.json does not say what the model is for (it has no architectures); say it, as in "
            "options: {task: embedding}"
        )
    if name.endswith(_WRITERS):
        raise ModelFileError(f"{name} writes text; {_WRITES}")
    ending = next((ending for ending in _TASKS if name.endswith(ending)), None)
    if ending is None:
        _unknown(name)
    # One label has no other to be chosen over: its softmax is 1 for every text. The number itself is what the model
    # says, of a text or of a pair: a reranker's relevance, or a regression. Both give `score`.
    return "reranking" if ending == SEQUENCE and len(labels_of(config)) == 1 else _TASKS[ending]


def _unknown(name: str) -> NoReturn:
    raise ModelFileError(
        f"{name} is for a task that is not served; these are: {', '.join(f'*{ending}' for ending in _TASKS)} (for its "
        "embeddings, say options: {task: embedding})"
    )


def check_task(config: Config, task: Task, pooling_given: bool) -> None:
    """Raises `ModelFileError` when the network cannot do the task: it has another head, or no way to pool."""
    name = config.architecture
    heads = _HEADS.get(task)
    if heads is not None and name and not name.endswith(heads):
        raise ModelFileError(f"{name} cannot do {task}: that takes a {' or '.join(f'*{head}' for head in heads)}")
    if task == "reranking" and len(labels_of(config)) != 1:
        raise ModelFileError(f"{name} has {len(labels_of(config))} labels; a reranker has one, its score")
    if task in ("classification", "reranking") and config.model_type in DECODERS and config.padding is None:
        raise ModelFileError(
            f"{name} looks for the last token before the padding, and config.json names no padding (pad_token_id); set "
            "it to the id that the model was trained with"
        )
    if task == "embedding" and config.is_encoder_decoder and not name.endswith("EncoderModel"):
        raise ModelFileError(f"{name} reads and writes; save its encoder alone to serve embeddings (as T5EncoderModel)")
    if task == "embedding" and config.model_type in DECODERS and not pooling_given:
        raise ModelFileError(
            f"{name} is the body of a language model, and nothing says how it makes embeddings (no modules.json of "
            "sentence-transformers); if it was trained for them, say how: options: {pooling: last}"
        )


def labels_of(config: Config) -> tuple[str, ...]:
    """The names of a network's classes, in order. Raises `ModelFileError` when their numbers leave gaps."""
    if config.id2label is None:
        # transformers leaves two labels out of the file, because two is its default.
        count = 2 if config.num_labels is None else config.num_labels
        if not 1 <= count <= MAX_LABELS:
            raise ModelFileError(f"config.json is wrong: num_labels is {count}")
        return tuple(f"LABEL_{index}" for index in range(count))
    order = [str(index) for index in range(len(config.id2label))]
    if not order or set(order) != set(config.id2label):
        raise ModelFileError(f"config.json is wrong: id2label must number its labels from 0 to {len(order) - 1}")
    return tuple(str(config.id2label[index]) for index in order)


def longest(config: Config) -> int | None:
    """Tokens that the network can read at most, or None when its positions do not bound them."""
    positions = config.positions
    if positions is None or positions < 1:
        return None
    if config.model_type in _RELATIVE or (config.model_type.startswith("deberta") and not config.position_biased_input):
        return None
    if config.model_type not in _AFTER_PADDING:
        return positions
    padding = config.pad_token_id if isinstance(config.pad_token_id, int) else 1
    return positions - padding - 1
