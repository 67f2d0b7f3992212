"""Answers under way as one batch in torch: every step gives each its next token."""

from __future__ import annotations

from typing import Any, Literal

import torch

from penstock.runtimes.generation.contract import Choice, Progress
from penstock.runtimes.generation.engines import torch_cache
from penstock.runtimes.generation.engines.torch_sampling import NoToken, Sampler


class Sequence:
    """One sequence. `stops`: tokens that end it; `most`: tokens that its answer may have."""

    def __init__(self, id: int, prompt: list[int], sampler: Sampler, stops: frozenset[int], most: int):
        self.id = id
        self.prompt = prompt
        self.sampler = sampler
        self.cache = torch_cache.empty()
        self.logits: Any = None
        self.answer: list[int] = []
        self._stops = stops
        self._most = most

    @property
    def whole(self) -> bool:
        """Whether the prompt is computed."""
        return torch_cache.length(self.cache) >= len(self.prompt)

    @property
    def computed(self) -> int:
        """Tokens in the cache: all but the last one chosen."""
        return len(self.prompt) + len(self.answer) - 1

    def next(self, logits: Any) -> Progress:
        """The next token by the settings; the end of the sequence where none may come."""
        try:
            return self.take(*self.sampler.choose(logits))
        except NoToken as error:
            return Progress(self.id, finished="error", error=str(error))

    def take(self, token: int, choice: Choice | None) -> Progress:
        """The next token came."""
        self.answer.append(token)
        self.sampler.took(token)
        finished: Literal["", "stop", "length"] = ""
        if token in self._stops:
            finished = "stop"
        elif len(self.answer) >= self._most:
            finished = "length"
        return Progress(self.id, (token,), () if choice is None else (choice,), finished)


class Batch:
    """The sequences that have their first token, padded at the beginning to the longest."""

    def __init__(self, forward: Any, device: Any):
        self._forward = forward
        self._device = device
        self._sequences: list[Sequence] = []
        self._cache: Any = None
        self._joining: list[Sequence] = []

    def __len__(self) -> int:
        return len(self._sequences) + len(self._joining)

    @property
    def tokens(self) -> int:
        """Tokens in the cache."""
        return sum(sequence.computed for sequence in self._sequences + self._joining)

    def read(self, sequence: Sequence, most: int) -> int:
        """Computes the next part of a prompt; returns of how many tokens."""
        start = torch_cache.length(sequence.cache)
        part = sequence.prompt[start : start + most]
        ids = torch.tensor([part], device=self._device)
        positions = torch.arange(start, start + len(part), device=self._device)[None]
        mask = torch.ones(1, start + len(part), dtype=torch.long, device=self._device)
        sequence.logits = self._logits(ids, positions, mask, sequence.cache)[0]
        return len(part)

    def _logits(self, ids: Any, positions: Any, mask: Any, cache: Any) -> Any:
        """Of the last token of each row, in FP32."""
        with torch.inference_mode():
            output = self._forward(
                input_ids=ids,
                position_ids=positions,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return output.logits[:, -1].float()

    def join(self, sequence: Sequence) -> Progress:
        """A sequence whose prompt is computed gets its first token, and goes on with the others if it has to."""
        progress = sequence.next(sequence.logits)
        sequence.logits = None
        if not progress.finished:
            self._joining.append(sequence)
        return progress

    def step(self) -> list[Progress]:
        """The next token of each sequence."""
        self._gather()
        if not self._sequences:
            return []
        lengths = [sequence.computed for sequence in self._sequences]
        logits = self._logits(*self._inputs(lengths), self._cache)
        likeliest = logits.argmax(-1).tolist()
        news = [
            sequence.take(token, None) if sequence.sampler.plain else sequence.next(row)
            for sequence, token, row in zip(self._sequences, likeliest, logits, strict=True)
        ]
        self._keep([number for number, progress in enumerate(news) if not progress.finished])
        return news

    def _inputs(self, lengths: list[int]) -> tuple[Any, Any, Any]:
        """Last tokens, their positions, and which tokens of the cache are no padding."""
        longest = torch_cache.length(self._cache)
        ids = torch.tensor([[sequence.answer[-1]] for sequence in self._sequences], device=self._device)
        positions = torch.tensor(lengths, device=self._device)[:, None]
        places = torch.arange(longest + 1, device=self._device)[None]
        return ids, positions, (places >= longest - positions).long()

    def _gather(self) -> None:
        """Sequences that joined become part of the batch."""
        if not self._joining:
            return
        caches = ([self._cache] if self._sequences else []) + [sequence.cache for sequence in self._joining]
        self._cache = torch_cache.joined(caches)
        for sequence in self._joining:
            sequence.cache = None
        self._sequences += self._joining
        self._joining = []

    def drop(self, id: int) -> None:
        """Forgets a sequence, if there is one of this id."""
        self._joining = [sequence for sequence in self._joining if sequence.id != id]
        self._keep([number for number, sequence in enumerate(self._sequences) if sequence.id != id])

    def _keep(self, rows: list[int]) -> None:
        if len(rows) == len(self._sequences):
            return
        self._sequences = [self._sequences[row] for row in rows]
        if not rows:
            self._cache = None
            return
        longest = max(sequence.computed for sequence in self._sequences)
        self._cache = torch_cache.kept(self._cache, rows, torch_cache.length(self._cache) - longest)
