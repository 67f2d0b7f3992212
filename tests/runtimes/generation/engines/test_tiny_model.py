"""The demo's trained model: OpenVINO GenAI says of it what transformers says in FP32."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.runtimes.generation import choice
from penstock.runtimes.generation.engines.openvino import OpenvinoEngine
from tests.runtimes.generation.engines.driving import TINY, finish, sampling, spec, tiny
from tests.runtimes.generation.engines.reference import greedy, logits

if not choice.installed("openvino"):
    pytest.skip("openvino is not installed", allow_module_level=True)
QUESTIONS = ("Count from 1 to 9.", "Who are you?", "Repeat: red green blue", "Where is Ashby?")
GAP = 0.05


@pytest.mark.parametrize("cache", [True, False])
def test_its_greedy_answers_are_those_of_transformers(cache: bool) -> None:
    engine = OpenvinoEngine()
    tokenizer = engine.load(spec(Path(TINY)), tiny(prefix_cache=cache, chunk=48))
    prompts = [
        tokenizer.encode(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n") for question in QUESTIONS
    ]
    for number, prompt in enumerate(prompts):
        engine.submit(number, prompt, sampling(max_tokens=20))
    answers = finish(engine, range(len(prompts)))
    for number, prompt in enumerate(prompts):
        answer, wanted = answers[number].tokens, greedy(TINY, prompt, 20, 1019)
        pairs = enumerate(zip(answer, wanted, strict=False))
        at = next((place for place, (ours, theirs) in pairs if ours != theirs), None)
        if at is not None:
            choices = logits(TINY, [*prompt, *wanted[:at]])[-1]
            assert choices.max() - choices[answer[at]] < GAP
        else:
            assert len(answer) == len(wanted)
