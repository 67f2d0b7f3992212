"""What transformers makes of a model in FP32, one sequence after another."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Reference:
    """Greedy answers, and the logits that lead to them."""

    def __init__(self, folder: Path):
        import torch
        from transformers import LlamaForCausalLM

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._network = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._known: dict[tuple[int, ...], list[int]] = {}

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The likeliest tokens, one after another."""
        answer = self._known.setdefault(tuple(prompt), [])
        while len(answer) < count:
            answer.append(int(self.logits([*prompt, *answer]).argmax()))
        return answer[:count]

    def logits(self, tokens: Sequence[int]) -> Any:
        """Of the token after these."""
        import torch

        with torch.inference_mode():
            return self._network(torch.tensor([list(tokens)])).logits[0, -1]

    def gap(self, tokens: Sequence[int], other: int) -> float:
        """How much likelier, in logits, the likeliest next token is than another one."""
        logits = self.logits(tokens)
        return float(logits.max() - logits[other])
