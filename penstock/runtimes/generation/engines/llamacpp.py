"""llama.cpp in this process, through its C API: every architecture that GGUF files hold."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

from penstock.core.errors import BadInput, ModelFileError
from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Capabilities, Progress, Tokenizer
from penstock.runtimes.generation.engines import engine_options, fits, llamacpp_adapters
from penstock.runtimes.generation.engines.llamacpp_guesses import Draft, Guesser, Lookup, Wish
from penstock.runtimes.generation.engines.llamacpp_network import Network, Size
from penstock.runtimes.generation.engines.llamacpp_options import LlamaCppOptions
from penstock.runtimes.generation.engines.llamacpp_sampler import Candidates, Sampler
from penstock.runtimes.generation.engines.llamacpp_sequence import Sequence
from penstock.runtimes.generation.engines.llamacpp_slots import Slots
from penstock.runtimes.generation.engines.llamacpp_tokenizer import LlamaCppTokenizer

LOOKUP = "prompt_lookup"
STEP_S = 0.8
"""Seconds that the prompts' part of a step may take, so that others' answers go on."""

LEAST = 32
"""Tokens of prompts that a step takes in any case."""


class LlamaCppEngine:
    """Sequences that come and go in one llama.cpp context, all computed in one batch per step."""

    def __init__(self) -> None:
        self.can = Capabilities(top_logprobs=20, logit_bias=True, min_p=True, grammar=True)
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._queries = self._hits = 0
        self._pace = 0.0

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        """Loads weights, caches and adapters."""
        options = engine_options.read(LlamaCppOptions, model.engine_options, "llama.cpp")
        guesses = model.draft_tokens if model.speculative else 0
        batch = max(model.chunk, model.sequences * (1 + guesses))
        size = Size(model.sequences, model.context, batch, 1 + guesses, model.kv_precision)
        self._model, self._guesses = model, guesses
        self._network = Network(Path(spec.path), spec, options, size)
        self._candidates = Candidates(self._network.library, self._network.vocabulary)
        self._guesser = _guesser(self._network, spec, model, options)
        self._adapters = llamacpp_adapters.load(self._network, model.adapters)
        self.can = self.can._replace(adapters=bool(self._adapters))
        self._slots = Slots(self._network, model.prefix_cache)
        tokenizer = LlamaCppTokenizer(self._network.library, self._network.vocab)
        self._library_ends = tokenizer.ends
        return tokenizer

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        """Adds a sequence; it waits for a free place."""
        fits.check(prompt, sampling, self._network.vocabulary, self._model.context)
        if adapter and adapter not in self._adapters:
            raise BadInput(f"the model has no adapter {adapter!r}")
        ends = self._ends(bool(grammar)) if not sampling.ignore_eos else frozenset()
        ends |= frozenset(sampling.stop_token_ids)
        sampler = Sampler(self._network, self._candidates, sampling, ends, grammar)
        sampler.read(prompt)
        room = self._model.context - len(prompt)
        self._waiting.append(Sequence(id, prompt, sampling, sampler, ends, adapter, room))

    def _ends(self, grammar: bool) -> frozenset[int]:
        """Tokens that end an answer. A grammar's end is any that llama.cpp takes for one."""
        named = frozenset(self._model.eos)
        return named | self._library_ends if grammar or not named else named

    def cancel(self, id: int) -> None:
        """Drops a sequence; its place is free at once."""
        for sequence in (*self._running, *self._waiting):
            if sequence.id == id:
                self._remove(sequence)

    def _remove(self, sequence: Sequence) -> None:
        if sequence.slot is None:
            self._waiting.remove(sequence)
        else:
            self._running.remove(sequence)
            self._slots.leave(sequence.slot)

    def step(self) -> list[Progress]:
        """Computes one batch for each adapter in use: the next token of every answer, and more of the prompts."""
        self._admit()
        news: list[Progress] = []
        for adapter in dict.fromkeys(sequence.adapter for sequence in self._running):
            self._network.adapt(self._adapters.get(adapter))
            news += self._compute([sequence for sequence in self._running if sequence.adapter == adapter])
        return news

    def _admit(self) -> None:
        while self._waiting and self._slots.free:
            sequence = self._waiting.popleft()
            sequence.begin(self._slots.take(sequence.tokens, sequence.adapter))
            self._running.append(sequence)
            if self._model.prefix_cache:
                self._queries += len(sequence.tokens)
                self._hits += sequence.cached

    def _compute(self, sequences: list[Sequence]) -> list[Progress]:
        self._network.batch.clear()
        answering = [sequence for sequence in sequences if sequence.answering]
        reading = [sequence for sequence in sequences if not sequence.answering]
        guesses = self._guess(answering)
        for sequence, guess in zip(answering, guesses, strict=True):
            sequence.feed(self._network.batch, 1, guess)
        prompts = self._feed_prompts(reading)
        self._run(prompts)
        news = [sequence.advance(self._network, self._slots) for sequence in sequences if sequence.fed]
        for progress in news:
            if progress is not None and progress.finished:
                self._remove(next(sequence for sequence in sequences if sequence.id == progress.id))
        return [progress for progress in news if progress is not None]

    def _guess(self, answering: list[Sequence]) -> list[list[int]]:
        if self._guesser is None:
            return [[] for _ in answering]
        return self._guesser.guess(
            [Wish(sequence.number, sequence.tokens, min(self._guesses, sequence.left - 1)) for sequence in answering]
        )

    def _feed_prompts(self, sequences: list[Sequence]) -> int:
        """Prompts in the order in which they came, as far as the step's time and the batch allow."""
        room = min(self._network.batch.room, self._model.chunk)
        if self._pace:
            room = min(room, max(LEAST, int(STEP_S / self._pace)))
        start = room
        for sequence in sequences:
            if room > 0:
                room -= sequence.feed(self._network.batch, room, [])
        return start - room

    def _run(self, prompts: int) -> None:
        """Computes the batch; learns how long a token of a prompt takes."""
        began = time.perf_counter()
        self._network.decode()
        if prompts >= LEAST:
            self._network.wait()
            self._pace = (time.perf_counter() - began) / self._network.batch.used

    @property
    def busy(self) -> bool:
        """Whether there are unfinished sequences."""
        return bool(self._running or self._waiting)

    def stats(self) -> EngineStats:
        """The engine's present state."""
        room = self._model.sequences * self._model.context
        usage = self._slots.tokens / room
        return EngineStats(len(self._running), len(self._waiting), usage, self._queries, self._hits)


def _guesser(network: Network, spec: ModelSpec, model: LanguageModel, options: LlamaCppOptions) -> Guesser | None:
    if not model.speculative:
        return None
    if not network.can_roll_back:
        raise ModelFileError(
            f"{model.architecture or 'the model'} keeps a state that cannot be rolled back, so speculative decoding is "
            'not possible: remove "speculative"'
        )
    if model.speculative == LOOKUP:
        return Lookup(options.lookup_min, options.lookup_max, model.sequences)
    size = network.size._replace(outputs=1)
    draft = Network(Path(model.speculative), spec, _draft_options(options), size)
    if draft.vocabulary != network.vocabulary:
        raise ModelFileError(
            f"the draft model has {draft.vocabulary} tokens and the model {network.vocabulary}: they must be the same"
        )
    return Draft(draft)


def _draft_options(options: LlamaCppOptions) -> Any:
    from msgspec.structs import replace

    return replace(options, gpu_layers=options.draft_gpu_layers, tensor_split=())
