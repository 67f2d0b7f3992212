"""OpenVINO GenAI's continuous batching on the CPU: GGUF files and OpenVINO IR folders."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from penstock.core.errors import BadInput, ContextExceeded, MissingExtra, ModelFileError
from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Capabilities, Choice, Progress, Tokenizer
from penstock.runtimes.generation.engines import openvino_sampling, openvino_settings
from penstock.runtimes.generation.engines.openvino_tokenizer import tokenizer_of
from penstock.runtimes.openvino import library

Finished = Literal["", "stop", "length", "error"]


class OpenvinoEngine:
    """Sequences that come and go in one ContinuousBatchingPipeline."""

    def __init__(self) -> None:
        self.can = Capabilities(min_p=True, grammar=True)
        self._sequences: dict[int, Sequence] = {}
        self._left: list[Sequence] = []
        self._number = 0
        self._stale = False

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        """Reads the model and compiles it."""
        self._genai, self._model = _library(), model
        self._caching = openvino_settings.prefix_caching(model)
        self._pipeline = _pipeline(self._genai, spec, model)
        tokenizer = tokenizer_of(spec, model, self._pipeline)
        self._vocabulary = model.vocab_size or len(tokenizer.pieces())
        return tokenizer

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        """Adds a sequence, once everything that could make a step fail was looked at."""
        room = self._model.context - len(prompt)
        self._check(prompt, sampling, room)
        config = openvino_sampling.config(self._genai, sampling, room, self._model.eos)
        if grammar:
            config.structured_output_config = self._genai.StructuredOutputConfig(grammar=grammar)
        if self._model.speculative:
            _speculate(config, self._model)
        stops = frozenset(sampling.stop_token_ids) if sampling.ignore_eos else frozenset()
        self._number += 1
        tensor = library().Tensor(np.array([prompt], np.int64))
        handle = self._pipeline.add_request(self._number, tensor, config)
        self._sequences[id] = Sequence(id, handle, stops, sampling.logprobs is not None)

    def _check(self, prompt: list[int], sampling: Sampling, room: int) -> None:
        if not prompt:
            raise BadInput("the prompt is empty")
        if min(prompt) < 0 or max(prompt) >= self._vocabulary:
            raise BadInput(f"the prompt has token ids that the model has not; they go from 0 to {self._vocabulary - 1}")
        if room < 1 or (sampling.max_tokens or 1) > room:
            raise ContextExceeded(
                f"the prompt's {len(prompt)} tokens and the {sampling.max_tokens or 1} asked for are more than "
                f"the context of {self._model.context} tokens"
            )

    def cancel(self, id: int) -> None:
        """Drops a sequence."""
        sequence = self._sequences.pop(id, None)
        if sequence is not None:
            self._drop(sequence)

    def _drop(self, sequence: Sequence) -> None:
        if self._caching and not sequence.begun:
            # A block that was computed in part would be found by the next prompt that begins alike, as if it were
            # whole.
            self._left.append(sequence)
            return
        sequence.handle.cancel()
        self._stale = True

    def step(self) -> list[Progress]:
        """Computes once for all sequences."""
        if not self._pipeline.has_non_finished_requests():
            return []
        self._stale = False
        self._pipeline.step()
        self._see_off()
        news = [progress for sequence in self._sequences.values() if (progress := sequence.read()) is not None]
        for progress in news:
            if progress.finished:
                self._end(self._sequences.pop(progress.id))
        return news

    def _see_off(self) -> None:
        """Sequences that were given up while their prompts were computed go when these are whole."""
        for sequence in self._left:
            sequence.read()
        gone = [sequence for sequence in self._left if sequence.begun]
        self._left = [sequence for sequence in self._left if not sequence.begun]
        for sequence in gone:
            self._drop(sequence)

    def _end(self, sequence: Sequence) -> None:
        if sequence.running:
            self._drop(sequence)

    @property
    def busy(self) -> bool:
        """Whether a step has something to do, if only to free what was cancelled."""
        return bool(self._sequences or self._left or self._stale)

    def stats(self) -> EngineStats:
        """The engine's present state."""
        usage = self._pipeline.get_metrics().cache_usage / 100 if self.busy else 0.0
        begun = sum(sequence.begun for sequence in self._sequences.values())
        return EngineStats(begun, len(self._sequences) - begun, usage)


class Sequence:
    """One sequence in the pipeline. `stops`: tokens that end it though the model's own end is ignored."""

    def __init__(self, id: int, handle: Any, stops: frozenset[int], logprobs: bool):
        self.id = id
        self.handle = handle
        self.begun = False
        self._stops = stops
        self._logprobs = logprobs

    @property
    def running(self) -> bool:
        return str(self.handle.get_status().name) == "RUNNING"

    def read(self) -> Progress | None:
        """What is new, or None."""
        tokens: list[int] = []
        logprobs: list[float] = []
        reason = ""
        while self.handle.can_read():
            for output in self.handle.read().values():
                tokens += output.generated_ids
                logprobs += output.generated_log_probs
                reason = str(output.finish_reason.name)
        self.begun = self.begun or bool(tokens)
        finished, error = self._ended(reason)
        if not tokens and not finished:
            return None
        tokens, finished = self._stopped(tokens, finished)
        choices = [Choice(logprob) for logprob in logprobs[: len(tokens)]] if self._logprobs else ()
        return Progress(self.id, tokens, choices, finished, error=error)

    def _ended(self, reason: str) -> tuple[Finished, str]:
        status = str(self.handle.get_status().name)
        if status == "IGNORED":
            return "error", "the key-value cache has no room for the sequence"
        if status == "FINISHED":
            return ("stop" if reason == "STOP" else "length"), ""
        return "", ""

    def _stopped(self, tokens: list[int], finished: Finished) -> tuple[list[int], Finished]:
        at = next((number for number, token in enumerate(tokens) if token in self._stops), None)
        return (tokens, finished) if at is None else (tokens[: at + 1], "stop")


def _library() -> Any:
    try:
        library()
        return import_module("openvino_genai")
    except ImportError as error:
        raise MissingExtra("OpenVINO GenAI is not installed: pip install 'penstock[llm]'") from error


def _pipeline(genai: Any, spec: ModelSpec, model: LanguageModel) -> Any:
    scheduler = openvino_settings.scheduler(genai, model)
    properties = openvino_settings.properties(genai, spec, model)
    if not Path(spec.path).exists():
        raise ModelFileError("the model file is missing")
    try:
        return genai.ContinuousBatchingPipeline(spec.path, scheduler, "CPU", properties)
    except Exception as error:
        raise ModelFileError("OpenVINO GenAI cannot load the model", detail=str(error)) from error


def _speculate(config: Any, model: LanguageModel) -> None:
    config.num_assistant_tokens = model.draft_tokens
    if model.speculative == openvino_settings.LOOKUP:
        config.max_ngram_size = 3
