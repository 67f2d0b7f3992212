"""The two ways to run vLLM from one thread: in this process, or its copies in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from penstock.runtimes.generation.engines.vllm_stats import Figures

WAIT_S = 0.02
"""How long a step waits for news of other processes, in seconds."""


class Stepper(Protocol):
    """vLLM's engine between steps. Requests are named by texts."""

    def submit(self, id: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        """Adds a request; raises what vLLM refuses it with."""

    def abort(self, id: str) -> None:
        """Drops a request."""

    def step(self) -> Sequence[Any]:
        """vLLM's outputs that are new."""

    @property
    def vocabulary(self) -> int:
        """Tokens that the model knows."""


class Here:
    """One engine in this process (several, where tensors or layers are divided: they compute in step)."""

    def __init__(self, vllm: Any, config: Any, figures: Figures):
        self._engine = vllm.LLMEngine.from_vllm_config(config, stat_loggers=[figures])
        self.vocabulary = int(config.model_config.get_vocab_size())

    def submit(self, id: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        """Adds a request."""
        self._engine.add_request(id, _tokens(prompt), parameters, lora_request=lora)

    def abort(self, id: str) -> None:
        """Drops a request."""
        self._engine.abort_request([id])

    def step(self) -> Sequence[Any]:
        """Computes once."""
        outputs: Sequence[Any] = self._engine.step() if self._engine.has_unfinished_requests() else []
        return outputs


class Copies:
    """Copies of the model in processes of their own; vLLM divides the requests among them. Its event loop runs while a
    step waits."""

    def __init__(self, vllm: Any, config: Any, figures: Figures):
        self._loop = asyncio.new_event_loop()
        self._queues: dict[str, Any] = {}
        self._engine = self._loop.run_until_complete(self._start(vllm, config, figures))
        self.vocabulary = int(config.model_config.get_vocab_size())

    async def _start(self, vllm: Any, config: Any, figures: Figures) -> Any:
        return vllm.AsyncLLMEngine.from_vllm_config(config, stat_loggers=[figures])

    def submit(self, id: str, prompt: list[int], parameters: Any, lora: Any) -> None:
        """Adds a request."""
        adding = self._engine.add_request(id, _tokens(prompt), parameters, lora_request=lora)
        self._queues[id] = self._loop.run_until_complete(adding)

    def abort(self, id: str) -> None:
        """Drops a request."""
        self._queues.pop(id, None)
        self._loop.run_until_complete(self._engine.abort(id))

    def step(self) -> Sequence[Any]:
        """What the copies have sent; waits a moment for it. Raises when they are gone."""
        return self._loop.run_until_complete(self._news()) if self._queues else []

    async def _news(self) -> list[Any]:
        until = self._loop.time() + WAIT_S
        while not (found := self._take()) and self._loop.time() < until:
            await asyncio.sleep(WAIT_S / 20)
            if self._engine.errored:
                raise self._engine.dead_error
        return found

    def _take(self) -> list[Any]:
        found = []
        for id, queue in list(self._queues.items()):
            output = queue.get_nowait()
            if output is not None:
                found.append(output)
                if output.finished:
                    del self._queues[id]
        return found


def _tokens(prompt: list[int]) -> dict[str, Any]:
    return {"type": "token", "prompt_token_ids": prompt}
