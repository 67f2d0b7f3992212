"""What every engine of a language model offers: token ids in, token ids out.

An engine batches by itself: sequences are added and dropped between steps. Text, templates, stop strings, tool
calls and thoughts are not its business; `runtimes/generation/runtime.py` does these once, for every engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec


class Capabilities(NamedTuple):
    """What an engine can do; a request that wants more is refused, naming the engine.

    `top_logprobs`: alternatives per token that it can show.
    """

    top_logprobs: int = 0
    logprobs: bool = True
    logit_bias: bool = False
    min_p: bool = False
    grammar: bool = False
    adapters: bool = False
    penalties: bool = True
    repetition_penalty: bool = True
    min_tokens: bool = True


class Choice(NamedTuple):
    """A generated token's log-probability, and the likeliest alternatives as (token id, log-probability)."""

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Progress(NamedTuple):
    """What a step brought for one sequence.

    `tokens`: new ones, the one that ended it included. `finished`: "stop" when the model ended it (a token of `eos` or
    of `stop_token_ids`), "length" at `max_tokens`, "error" when the engine gave it up (`error` says why, for the log),
    "" while it goes on. `cached`: prompt tokens that were known before; reported once, with the first token.
    `draft`, `accepted`: guessed tokens, and those that were right, in this step.
    """

    id: int
    tokens: Sequence[int] = ()
    choices: Sequence[Choice] = ()
    finished: Literal["", "stop", "length", "error"] = ""
    cached: int = 0
    draft: int = 0
    accepted: int = 0
    error: str = ""


class Tokenizer(Protocol):
    """Text to token ids and back."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids; nothing is added. `special`: control tokens written in the text are read as such."""

    def pieces(self) -> Sequence[bytes]:
        """The bytes that each id stands for, by id; empty for ids that stand for nothing."""

    @property
    def control(self) -> frozenset[int]:
        """Ids of control tokens, which are no part of an answer's text."""


class TokenEngine(Protocol):
    """One loaded model that generates for many sequences at once. Used from one thread."""

    can: Capabilities

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        """Loads the model. `model.context` is what one sequence may have, prompt and answer together.

        Raises `ModelFileError` with the reason in words (no paths), `MissingExtra`.
        """

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        """Adds a sequence; the prompt fits the context, `sampling` has no None left but `seed` and `logprobs`
        (temperature 0: greedy, else at least 1e-5), and asks for nothing that the engine cannot do. `grammar`: GBNF
        whose `root` the answer follows; then there is neither `min_tokens` nor `ignore_eos`. Raises `BadInput` for what
        only the engine can tell is wrong."""

    def cancel(self, id: int) -> None:
        """Drops a sequence; nothing more is reported of it. Unknown ids are ignored."""

    def step(self) -> list[Progress]:
        """Computes once for all sequences; returns what is new. Must return within about a second, also when there is
        nothing new. An exception ends the worker: nobody may go on with an engine in an unknown state."""

    @property
    def busy(self) -> bool:
        """Whether there are unfinished sequences."""

    def stats(self) -> EngineStats:
        """Its present state."""
