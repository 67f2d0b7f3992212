"""Hugging Face transformers on torch, on the CPU or a GPU: what the other engines do not read, and the reference."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Any

from penstock.core.errors import BadInput
from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Capabilities, Progress, Tokenizer
from penstock.runtimes.generation.engines import fits, torch_loading
from penstock.runtimes.generation.engines.pace import Pace

STEP_S = 0.5
"""How long prompts may hold up a step."""
LEAST = 16
TOP = 20


class TransformersEngine:
    """Answers under way are one padded batch; prompts are computed one after another, in chunks, and then join it.

    There is no prefix cache: every prompt is computed whole.
    """

    def __init__(self) -> None:
        from penstock.runtimes.generation.engines import torch_grammar

        self.can = Capabilities(top_logprobs=TOP, logit_bias=True, min_p=True, grammar=torch_grammar.installed())
        self._waiting: list[Any] = []
        self._batch: Any = None
        self._grammars: Any = None

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        """Reads the folder."""
        import torch

        from penstock.runtimes.generation import tokenizers
        from penstock.runtimes.generation.engines.torch_batch import Batch

        torch.set_num_threads(max(1, spec.threads))
        self._model, self._device = model, torch_loading.device_of(spec)
        network = torch_loading.network(spec, model, self._device)
        tokenizer = tokenizers.of_file(Path(model.tokenizer or Path(spec.path) / "tokenizer.json"))
        self._width = int(network.get_output_embeddings().weight.shape[0])
        self._pace = Pace(model.chunk, LEAST, STEP_S)
        self._batch = Batch(_forward(network), self._device)
        self._tokenizer = tokenizer
        return tokenizer

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        """Adds a sequence."""
        from penstock.runtimes.generation.engines.torch_batch import Sequence
        from penstock.runtimes.generation.engines.torch_sampling import Sampler

        room = self._model.context - len(prompt)
        fits.check(prompt, sampling, self._width, self._model.context)
        ends = frozenset(self._model.eos) | frozenset(sampling.stop_token_ids)
        matcher = self._matcher(grammar) if grammar else None
        sampler = Sampler(sampling, prompt, ends, self._device, matcher)
        stops = frozenset(sampling.stop_token_ids) if sampling.ignore_eos else ends
        self._waiting.append(Sequence(id, prompt, sampler, stops, sampling.max_tokens or room))

    def _matcher(self, grammar: str) -> Any:
        from penstock.runtimes.generation.engines.torch_grammar import Grammars

        if not self._model.eos:
            raise BadInput("the model has no token that ends an answer, so its answers cannot follow a schema")
        if self._grammars is None:
            self._grammars = Grammars(self._tokenizer, self._model.eos, self._width)
        return self._grammars.matcher(grammar)

    def cancel(self, id: int) -> None:
        """Drops a sequence, and its part of the cache."""
        self._waiting = [sequence for sequence in self._waiting if sequence.id != id]
        self._batch.drop(id)

    def step(self) -> list[Progress]:
        """One token for every answer under way, and some of the prompts that wait."""
        news: list[Progress] = self._batch.step()
        return news + self._read()

    def _read(self) -> list[Progress]:
        """Computes prompts, first come, first served, as long as the step may take."""
        budget, news, started, done = self._pace.budget(), [], time.perf_counter(), 0
        while self._waiting and done < budget and len(self._batch) < self._model.sequences:
            sequence = self._waiting[0]
            done += self._batch.read(sequence, budget - done)
            if sequence.whole:
                self._waiting.pop(0)
                news.append(self._batch.join(sequence))
        if done:
            self._pace.took(done, time.perf_counter() - started)
        return news

    @property
    def busy(self) -> bool:
        """Whether there are unfinished sequences."""
        return bool(self._waiting or len(self._batch or ()))

    def stats(self) -> EngineStats:
        """The engine's present state."""
        room = self._model.sequences * self._model.context
        return EngineStats(len(self._batch), len(self._waiting), self._batch.tokens / room)


def _forward(network: Any) -> Any:
    """The network's forward pass; models that know no position_ids are not given any."""
    known = inspect.signature(network.forward).parameters
    if "position_ids" in known or any(one.kind is one.VAR_KEYWORD for one in known.values()):
        return network

    def forward(position_ids: Any, **inputs: Any) -> Any:
        return network(**inputs)

    return forward
