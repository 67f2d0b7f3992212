"""One sequence of an OpenVINO GenAI pipeline, from its prompt to its last token."""

from __future__ import annotations

from array import array
from typing import Any, Literal

from penstock.core.generation import Sampling
from penstock.runtimes.generation.contract import Choice, Progress

Finished = Literal["", "stop", "length", "error"]
FULL = "the key-value cache had no room for the sequence"


class Sequence:
    """`config`: the library's settings of it. `keys`: names of the prompt's whole blocks; `cached`: tokens of the
    prompt that were known when it came. `owner`: its number in the pipeline, 0 before it is there."""

    def __init__(
        self, id: int, prompt: list[int], config: Any, sampling: Sampling, keys: list[bytes], adapter: str = ""
    ):
        self.id = id
        self.adapter = adapter
        self.prompt = prompt
        self.config = config
        self.keys = keys
        self.cached: int | None = None
        self.owner = 0
        self.handle: Any = None
        self.text = array("i", prompt)
        self._stops = frozenset(sampling.stop_token_ids) if sampling.ignore_eos else frozenset()
        self._logprobs = sampling.logprobs is not None

    @property
    def begun(self) -> bool:
        """Whether its prompt is computed and its first token there."""
        return len(self.text) > len(self.prompt)

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are in the cache: all but the last."""
        return len(self.text) - 1

    @property
    def running(self) -> bool:
        """Whether the pipeline goes on with it."""
        return self.handle is not None and self.handle.get_status().name == "RUNNING"

    def read(self) -> Progress | None:
        """What is new, or None."""
        tokens: list[int] = []
        logprobs: list[float] = []
        reason = ""
        while self.handle.can_read():
            for output in self.handle.read().values():
                tokens += output.generated_ids
                logprobs += output.generated_log_probs
                reason = output.finish_reason.name
        tokens, finished = self._ended(tokens, reason)
        if not tokens and not finished:
            return None
        first, accepted = not self.begun, max(0, len(tokens) - 1)
        self.text.extend(tokens)
        choices = [Choice(logprob) for logprob in logprobs[: len(tokens)]] if self._logprobs else ()
        return Progress(
            self.id,
            tokens,
            choices,
            finished,
            cached=(self.cached or 0) if first else 0,
            accepted=accepted,
            error=FULL if finished == "error" else "",
        )

    def _ended(self, tokens: list[int], reason: str) -> tuple[list[int], Finished]:
        """The tokens up to the one that ended it, and why it ended."""
        at = next((number for number, token in enumerate(tokens) if token in self._stops), None)
        if at is not None:
            return tokens[: at + 1], "stop"
        status = self.handle.get_status().name
        if status == "RUNNING":
            return tokens, ""
        if status != "FINISHED":
            return tokens, "error"
        return tokens, "stop" if reason == "STOP" else "length"
