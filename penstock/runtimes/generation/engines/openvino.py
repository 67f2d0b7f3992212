"""OpenVINO GenAI's continuous batching on the CPU: GGUF files and OpenVINO IR folders."""

from __future__ import annotations

import time
from itertools import takewhile
from typing import Any

import numpy as np

from penstock.core.errors import BadInput
from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.allocator import give_back_large
from penstock.runtimes.generation.contract import Capabilities, Progress, Tokenizer
from penstock.runtimes.generation.engines import fits, openvino_sampling, openvino_settings
from penstock.runtimes.generation.engines.openvino_adapters import Adapters
from penstock.runtimes.generation.engines.openvino_guesses import guessed
from penstock.runtimes.generation.engines.openvino_prompts import Waiting, plan
from penstock.runtimes.generation.engines.openvino_sequence import Sequence
from penstock.runtimes.generation.engines.openvino_settings import BLOCK
from penstock.runtimes.generation.engines.openvino_tokenizer import tokenizer_of
from penstock.runtimes.generation.engines.pace import Pace
from penstock.runtimes.generation.engines.prefix_blocks import PrefixBlocks
from penstock.runtimes.openvino import library

WARM = 64
WARMINGS = 2
"""Tokens of a prompt that is computed before the first request, and how often."""


class OpenvinoEngine:
    """Sequences that come and go in one ContinuousBatchingPipeline.

    An exception out of the pipeline's step leaves it dead for everyone, so all that could cause one is refused before.
    With prefix caching, prompts are handed over in parts (`openvino_prompts` says why); a part is a request of its own
    for one token that nobody reads, and the next part finds it in the cache.
    """

    def __init__(self) -> None:
        self.can = Capabilities(min_p=True, grammar=True, adapters=True)
        self._waiting: list[Sequence] = []
        self._running: dict[int, Sequence] = {}
        self._leaving: list[Sequence] = []
        self._number = 0
        self._stale = False
        self._queries = self._hits = 0
        self._adapter = ""
        self._answers_s = 0.0

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        """Reads the model and compiles it."""
        give_back_large()
        self._genai, self._model = openvino_settings.genai(), model
        self._caching = openvino_settings.prefix_caching(model)
        self._splits = openvino_settings.splits(model)
        self._options = openvino_settings.options(model)
        self._blocks = PrefixBlocks(openvino_settings.blocks(model), BLOCK)
        self._pace = Pace(model.chunk, BLOCK, self._options.step_ms / 1000)
        self._adapters = Adapters(self._genai, model.adapters) if model.adapters else None
        self._pipeline = openvino_settings.pipeline(self._genai, spec, model, self._adapters)
        tokenizer = tokenizer_of(spec, model, self._pipeline)
        self._vocabulary = model.vocab_size or len(tokenizer.pieces())
        self._warm_up()
        return tokenizer

    def _warm_up(self) -> None:
        """The first steps prepare kernels and memory, and tell how fast the next ones will be."""
        length = min(WARM, self._model.context // 2)
        for token in range(WARMINGS if length else 0):
            self._pace = Pace(self._model.chunk, BLOCK, self._options.step_ms / 1000)
            self.submit(token, [token] * length, Sampling(max_tokens=2, temperature=0.0, ignore_eos=True))
            while self.busy:
                self.step()
        self._queries = self._hits = 0

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        """Adds a sequence, once everything that could make a step fail was looked at."""
        room = self._model.context - len(prompt)
        fits.check(prompt, sampling, self._vocabulary, self._model.context)
        if adapter and adapter not in self._model.adapters:
            raise BadInput(f"the model has no adapter {adapter[:64]!r}")
        config = openvino_sampling.config(self._genai, sampling, room, self._model.eos)
        if grammar:
            openvino_sampling.constrain(self._genai, config, grammar)
        keys = self._blocks.keys(prompt) if self._caching else []
        self._waiting.append(Sequence(id, prompt, self._speculating(config), sampling, keys, adapter))

    def _speculating(self, config: Any) -> Any:
        if self._model.speculative:
            openvino_sampling.speculate(config, self._model, self._options.max_ngram)
        return config

    def cancel(self, id: int) -> None:
        """Drops a sequence."""
        self._waiting = [sequence for sequence in self._waiting if sequence.id != id]
        sequence = self._running.pop(id, None)
        if sequence is not None:
            self._drop(sequence)

    def _drop(self, sequence: Sequence) -> None:
        """Takes a sequence out of the pipeline, whose next step frees its blocks. One whose prompt is computed in part
        stays until it is whole."""
        if self._caching and not sequence.begun and sequence.running:
            self._leaving.append(sequence)
            return
        sequence.handle.cancel()
        self._blocks.release(sequence.owner)
        self._stale = True

    def step(self) -> list[Progress]:
        """Computes once for all sequences."""
        others = bool(self._running)
        started, tokens = time.perf_counter(), self._admit()
        if not self._pipeline.has_non_finished_requests():
            self._stale = False
            return []
        self._pipeline.step()
        self._stale = False
        self._measure(tokens, time.perf_counter() - started, others)
        self._see_off()
        return [progress for sequence in list(self._running.values()) if (progress := self._read(sequence)) is not None]

    def _measure(self, tokens: int, seconds: float, others: bool) -> None:
        """How long the step's prompt tokens took, without what answers under way take in a step of their own."""
        if tokens:
            self._pace.took(tokens, max(seconds / 2, seconds - (self._answers_s if others else 0.0)))
        else:
            self._answers_s = seconds

    def _admit(self) -> int:
        """Hands prompts, or parts of them, to the pipeline; returns how many of their tokens it will compute."""
        if not self._waiting:
            return 0
        places = self._model.sequences - len(self._running) - len(self._leaving)
        waiting = [self._seen(sequence) for sequence in self._alike(max(0, places))]
        ends = plan(waiting, places, self._budget(), BLOCK if self._caching else 0)
        entered = [sequence for sequence, end in zip(self._waiting, ends, strict=False) if end]
        for sequence, end in zip(entered, filter(None, ends), strict=True):
            self._enter(sequence, end)
        self._waiting = [sequence for sequence in self._waiting if not sequence.owner]
        return sum(end - cached for end, (_, cached) in zip(ends, waiting, strict=False) if end)

    def _alike(self, places: int) -> list[Sequence]:
        """The first that wait and have the same adapter as those under way. Adapters take turns: the next one is put on
        when the pipeline is empty."""
        first = self._waiting[0].adapter
        if first != self._adapter and self._adapters is not None:
            if self._running or self._leaving or self._pipeline.has_non_finished_requests():
                return []
            self._adapters.put_on(self._pipeline, first)
            self._adapter = first
        return list(takewhile(lambda sequence: sequence.adapter == first, self._waiting[:places]))

    def _budget(self) -> int:
        """Prompt tokens of the next step, unless the library splits prompts itself."""
        return self._model.sequences * self._model.context if self._splits else self._pace.budget()

    def _seen(self, sequence: Sequence) -> Waiting:
        return Waiting(len(sequence.prompt), self._blocks.cached(sequence.keys, len(sequence.prompt)))

    def _enter(self, sequence: Sequence, end: int) -> None:
        """Up to `end` tokens of the prompt go into the pipeline; the sequence itself, if these are all."""
        if sequence.cached is None:
            sequence.cached = self._seen(sequence).cached
            if self._caching:
                self._queries += len(sequence.prompt)
                self._hits += sequence.cached
        if end < len(sequence.prompt):
            config = self._speculating(openvino_sampling.part(self._genai))
            part = Sequence(-1, sequence.prompt[:end], config, Sampling(), sequence.keys)
            self._add(part)
            self._leaving.append(part)
            return
        self._add(sequence)
        self._running[sequence.id] = sequence

    def _add(self, sequence: Sequence) -> None:
        self._number += 1
        sequence.owner = self._number
        keys = sequence.keys[: len(sequence.prompt) // BLOCK]
        if self._caching:
            self._blocks.hold(sequence.owner, keys)
            self._blocks.grow(sequence.owner, keys, len(sequence.prompt))
        tensor = library().Tensor(np.array([sequence.prompt], np.int64))
        sequence.handle = self._pipeline.add_request(sequence.owner, tensor, sequence.config)

    def _read(self, sequence: Sequence) -> Progress | None:
        guesses = self._guessed(sequence)
        progress = sequence.read()
        if progress is None:
            return None
        self._grow(sequence)
        if progress.finished:
            del self._running[sequence.id]
            self._drop(sequence) if sequence.running else self._blocks.release(sequence.owner)
        return progress._replace(draft=guesses)

    def _grow(self, sequence: Sequence) -> None:
        """Writes into the books what generated tokens filled."""
        if self._caching and sequence.computed // BLOCK > len(sequence.keys):
            sequence.keys = self._blocks.keys(sequence.text[: sequence.computed])
            self._blocks.grow(sequence.owner, sequence.keys, sequence.computed)

    def _guessed(self, sequence: Sequence) -> int:
        """Tokens that were guessed for the step that was; its first token comes without."""
        if not self._model.speculative or not sequence.begun:
            return 0
        room = sequence.config.max_new_tokens - len(sequence.text) + len(sequence.prompt)
        return guessed(sequence.text, room, self._model, self._options.max_ngram)

    def _see_off(self) -> None:
        """Parts of prompts that are done, and sequences that were given up before they had a token, go."""
        for sequence in self._leaving:
            sequence.read()
        done = [sequence for sequence in self._leaving if sequence.begun or not sequence.running]
        self._leaving = [sequence for sequence in self._leaving if sequence not in done]
        for sequence in done:
            self._drop(sequence) if sequence.running else self._blocks.release(sequence.owner)

    @property
    def busy(self) -> bool:
        """Whether a step has something to do, if only to free what was cancelled."""
        return bool(self._running or self._waiting or self._leaving or self._stale)

    def stats(self) -> EngineStats:
        """The engine's present state."""
        usage = self._pipeline.get_metrics().cache_usage / 100 if self._running or self._leaving else 0.0
        running = len(self._running)
        return EngineStats(running, len(self._waiting), usage, self._queries, self._hits)
