"""The raw engine, without any server: `python -m bench.llm.raw MODEL SEQUENCES ROUNDS` prints a JSON line per run.

OpenVINO GenAI's continuous batching is called directly with the settings that Penstock's engine gives it, so what
is left between the two is Penstock.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench.llm.load import ANSWER, PROMPT, prompts
from bench.llm.rivals import CONTEXT, SEQUENCES


def main() -> None:
    """Reads lines "SEQUENCES ROUNDS" from standard input; prints tokens and seconds for each."""
    pipeline, make = _pipeline(sys.argv[1]), prompts(7, PROMPT)
    print("ready", flush=True)
    ids = count(1)
    for line in sys.stdin:
        sequences, rounds = map(int, line.split())
        started = time.perf_counter()
        tokens = run(pipeline, make, ids, sequences, sequences * rounds)
        print(json.dumps({"tokens": tokens, "seconds": time.perf_counter() - started}), flush=True)


def run(pipeline: Any, make: Callable[[], list[int]], ids: Iterator[int], sequences: int, requests: int) -> int:
    """So many requests, so many at once; a new one as soon as one has ended. Returns the tokens generated."""
    running: list[Any] = []
    tokens = 0
    while requests or running:
        while requests and len(running) < sequences:
            requests -= 1
            running.append(_add(pipeline, next(ids), make()))
        pipeline.step()
        for handle in list(running):
            while handle.can_read():
                tokens += sum(len(output.generated_ids) for output in handle.read().values())
            if handle.get_status().name != "RUNNING":
                running.remove(handle)
    return tokens


def _add(pipeline: Any, number: int, prompt: list[int]) -> Any:
    import openvino
    import openvino_genai

    config = openvino_genai.GenerationConfig()
    config.max_new_tokens, config.ignore_eos, config.apply_chat_template = ANSWER, True, False
    return pipeline.add_request(number, openvino.Tensor(np.array([prompt], np.int64)), config)


def _pipeline(model: str) -> Any:
    """The pipeline that the engine itself makes for these settings."""
    import openvino_genai

    from penstock.config.models import spec_of
    from penstock.config.schema import ModelSettings
    from penstock.core.language import LanguageModel
    from penstock.runtimes.generation.engines import openvino_settings

    settings = ModelSettings(source=model, options={"sequences": SEQUENCES, "context": CONTEXT})
    spec = msgspec.structs.replace(spec_of("m", settings, Path.cwd()), threads=os.cpu_count() or 1)
    return openvino_settings.pipeline(openvino_genai, spec, msgspec.convert(spec.options, LanguageModel))


if __name__ == "__main__":
    main()
