"""Ollama's `options`: what of them is obeyed, what is harmless, and what is refused."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from penstock.core.generation import Sampling
from penstock.core.ranges import MAX_TOKENS, Penalty, Repetition, Seed, Share, Temperature
from penstock.protocols.generation.limits import seed_of, stops_of, top_k_of, top_p_of
from penstock.protocols.reading import read, wrong

FIELDS = {
    "num_predict": "how many tokens to generate at most, 1 to 1000000 (-1, -2: as many as the context has room for)",
    "temperature": "a number from 0 to 2",
    "top_k": "a whole number (0 and below: all)",
    "top_p": "a number from 0 to 1",
    "min_p": "a number from 0 to 1",
    "seed": "a whole number of 64 bits (-1: none)",
    "stop": "a text of 1 to 1024 characters, or at most 16 of them",
    "repeat_penalty": "a number over 0, at most 10",
    "repeat_last_n": "-1: the penalty looks at the whole context",
    "presence_penalty": "a number from -2 to 2",
    "frequency_penalty": "a number from -2 to 2",
    "num_ctx": "how many tokens prompt and answer have together, at most as many as the model is served with",
    "mirostat": "0: it is not offered",
    "tfs_z": "1: it is not offered",
    "typical_p": "1: it is not offered",
    "penalize_newline": "true: newlines are tokens like others",
}
HARMLESS = (
    "vocab_only",
    "logits_all",
    "embedding_only", "f16_kv", "low_vram", "main_gpu", "mirostat_eta", "mirostat_tau", "num_batch", "num_gpu",
    "num_keep", "num_thread", "numa", "use_mlock", "use_mmap",
)  # fmt: skip
"""How Ollama loads a model: here the server's own settings say that, and answers stay the same."""
NEUTRAL: dict[str, Any] = {"mirostat": 0, "tfs_z": 1, "typical_p": 1, "penalize_newline": True}
"""Ways to choose tokens that are not offered, with the value that means: not used."""


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """See `FIELDS`."""

    num_predict: Annotated[int, msgspec.Meta(ge=-2, le=MAX_TOKENS)] | None = None
    temperature: Temperature | None = None
    top_k: Annotated[int, msgspec.Meta(ge=-MAX_TOKENS, le=MAX_TOKENS)] | None = None
    top_p: Share | None = None
    min_p: Share | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    repeat_penalty: Repetition | None = None
    repeat_last_n: int | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    num_ctx: Annotated[int, msgspec.Meta(ge=1)] | None = None
    mirostat: float | None = None
    tfs_z: float | None = None
    typical_p: float | None = None
    penalize_newline: bool | None = None


_any = msgspec.json.Decoder(dict[str, Any])
_decoder = msgspec.json.Decoder(Options)


def read_options(raw: msgspec.Raw) -> Options:
    """The options of a message. Raises `BadInput` naming the one that is unknown, wrong or not offered."""
    if bytes(raw) == b"null":
        return Options()
    given = {name: value for name, value in _object(raw).items() if name not in HARMLESS and value is not None}
    options = read(_decoder, msgspec.json.encode(given), FIELDS)
    for name, neutral in NEUTRAL.items():
        if getattr(options, name) not in (None, neutral):
            raise wrong(name, f"{name} is not offered; leave it out")
    if options.num_predict == 0:
        raise wrong("num_predict", f"num_predict is 0; it is {FIELDS['num_predict']}")
    if options.repeat_last_n not in (None, -1, 0) and options.repeat_penalty not in (None, 1):
        raise wrong("repeat_last_n", "repeat_last_n: the penalty looks at the whole context; send -1, or leave it out")
    return options


def check_context(options: Options, served: int | None) -> None:
    """Raises `BadInput` when more context is wanted than the model is served with."""
    if options.num_ctx is not None and served is not None and options.num_ctx > served:
        says = f"num_ctx is {options.num_ctx}, but the model is served with a context of {served} tokens"
        raise wrong("num_ctx", f"{says}; ask for at most that, or serve it with more")


def sampling_of(options: Options, logprobs: int | None) -> Sampling:
    """How tokens are chosen. `logprobs`: how many alternatives to show beside each token; None for none at all."""
    predict = options.num_predict
    repeat = 1.0 if options.repeat_last_n == 0 else options.repeat_penalty
    return Sampling(
        max_tokens=None if predict is None or predict < 0 else predict,
        temperature=options.temperature,
        top_p=top_p_of(options.top_p),
        top_k=top_k_of(options.top_k),
        min_p=options.min_p,
        seed=None if options.seed == -1 else seed_of(options.seed),
        presence_penalty=options.presence_penalty or 0.0,
        frequency_penalty=options.frequency_penalty or 0.0,
        repetition_penalty=repeat,
        stop=stops_of(options.stop),
        logprobs=logprobs,
    )


def _object(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return _any.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise wrong("options", "options must be an object of sampling settings") from None
