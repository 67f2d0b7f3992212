"""Do the engines say what transformers says? `python -m bench.llm.exactness [FOLDER]` asks all that are installed.

Greedy answers of the random 300M llama, F16 weights: alone, in a full batch of mixed lengths, again from the prefix
cache, without one, in chunks. Where an answer differs, its first different token is looked at: how much likelier, in
logits, the reference's own choice was there. A rounding difference is a gap near 0; a mistake is a large one.
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.llm.models import LARGE, write
from penstock.core.generation import Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation import choice
from penstock.runtimes.generation.contract import TokenEngine
from penstock.runtimes.generation.engines.choice import create

ANSWER = 32
LENGTHS = (1, 17, 32, 64, 100, 128, 200, 333)
CONTEXT = 512
FILES = {"openvino": "f16.gguf", "llamacpp": "f16.gguf", "transformers": "hf", "vllm": "hf"}
FORMATS = {"f16.gguf": "gguf", "hf": "causal-lm"}
OPTIONS: dict[str, dict[str, Any]] = {"vllm": {"dtype": "float32"}}
SETTINGS: dict[str, dict[str, Any]] = {
    "full batch": {},
    "no prefix cache": {"prefix_cache": False},
    "chunks of 64": {"chunk": 64},
}


class Row(NamedTuple):
    """One engine with one setting. `first`: index of the earliest different token. `gap`: the largest, in logits."""

    engine: str
    setting: str
    equal: int
    answers: int
    first: int | None
    gap: float


class Reference:
    """transformers in FP32, one sequence after another."""

    def __init__(self, folder: Path):
        import torch
        from transformers import LlamaForCausalLM

        self._torch = torch
        self._network = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, prompt: Sequence[int]) -> list[int]:
        """The likeliest tokens."""
        tokens = self._torch.tensor([list(prompt)])
        made = self._network.generate(
            tokens, max_new_tokens=ANSWER, min_new_tokens=ANSWER, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        return [int(token) for token in made[0][len(prompt) :]]

    def gap(self, tokens: Sequence[int], other: int) -> float:
        """How much likelier the likeliest token after these is than another."""
        with self._torch.inference_mode():
            logits = self._network(self._torch.tensor([list(tokens)])).logits[0, -1]
        return float(logits.max() - logits[other])


def prompts(vocabulary: int) -> list[list[int]]:
    """Random tokens, in mixed lengths."""
    draw = random.Random(0)
    return [[draw.randrange(300, vocabulary) for _ in range(length)] for length in LENGTHS]


def loaded(name: str, folder: Path, threads: int, settings: dict[str, Any]) -> TokenEngine:
    """An engine with the model."""
    file = FILES[name]
    spec = ModelSpec(name="random", runtime="llm", path=str(folder / file), format=FORMATS[file], threads=threads,
                     device="cpu")  # fmt: skip
    model = LanguageModel(architecture="llama", context=CONTEXT, sequences=len(LENGTHS), eos=(2,),
                          vocab_size=LARGE.vocabulary, engine_options=OPTIONS.get(name, {}), **settings)  # fmt: skip
    engine = create(name)
    engine.load(spec, model)
    return engine


def answers(engine: TokenEngine, asked: Sequence[list[int]]) -> list[list[int]]:
    """The answers to prompts that come together."""
    sampling = Sampling(max_tokens=ANSWER, temperature=0.0, top_p=1.0, top_k=0, min_p=0.0, ignore_eos=True)
    found: dict[int, list[int]] = {}
    for number, prompt in enumerate(asked):
        found[number] = []
        engine.submit(number, prompt, sampling)
    while engine.busy:
        for progress in engine.step():
            found[progress.id] += progress.tokens
    return list(found.values())


def compared(reference: Reference, asked: Sequence[list[int]], wanted: Sequence[list[int]],
             got: Sequence[list[int]], name: str, setting: str) -> Row:  # fmt: skip
    """How near the answers are to the wanted ones."""
    first, gap, equal = None, 0.0, 0
    for prompt, right, answer in zip(asked, wanted, got, strict=True):
        at = next((place for place, pair in enumerate(zip(right, answer, strict=True)) if pair[0] != pair[1]), None)
        if at is None:
            equal += 1
            continue
        first = at if first is None else min(first, at)
        gap = max(gap, reference.gap([*prompt, *right[:at]], answer[at]))
    return Row(name, setting, equal, len(asked), first, gap)


def rows(folder: Path, threads: int) -> Iterator[Row]:
    """One after another, as they are found."""
    reference, asked = Reference(folder / "hf"), prompts(LARGE.vocabulary)
    wanted = [reference.answer(prompt) for prompt in asked]
    for name in FILES:
        if not choice.installed(name):
            continue
        for setting, settings in SETTINGS.items():
            engine = loaded(name, folder, threads, settings)
            yield compared(reference, asked, wanted, answers(engine, asked), name, setting)
            if not settings:
                yield compared(reference, asked, wanted, answers(engine, asked), name, "again")
                alone = [answers(engine, [prompt])[0] for prompt in asked]
                yield compared(reference, asked, wanted, alone, name, "alone")
            del engine


def main(folder: Path, threads: int = 2) -> None:
    """Writes the model where it is not yet, and prints the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(folder)
    print("| engine | setting | equal answers | first difference at token | largest logit gap there |")
    print("|---|---|---|---|---|")
    for row in rows(folder, threads):
        first = "none" if row.first is None else str(row.first + 1)
        gap = "" if row.first is None else f"{row.gap:.5f}"
        print(f"| {row.engine} | {row.setting} | {row.equal} of {row.answers} | {first} | {gap} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir()) / "penstock-llama-300m")
