"""vLLM in this process: safetensors folders, on GPUs or, where vLLM was built for it, on the CPU."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from penstock.core.errors import BadInput, ConfigError, MissingExtra, ModelFileError
from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Capabilities, Progress, Tokenizer
from penstock.runtimes.generation.engines import engine_options, fits, vllm_sampling, vllm_settings
from penstock.runtimes.generation.engines.vllm_options import VllmOptions
from penstock.runtimes.generation.engines.vllm_stats import Figures
from penstock.runtimes.generation.engines.vllm_stepper import Copies, Here, Stepper

Finished = Literal["", "stop", "length", "error"]


class VllmEngine:
    """Sequences that come and go in vLLM, stepped from this thread."""

    def __init__(self) -> None:
        self.can = Capabilities(top_logprobs=20, logit_bias=True, min_p=True, grammar=True)
        self._figures = Figures()
        self._asked: dict[int, int | None] = {}
        self._begun: set[int] = set()

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        """Loads the model onto its devices."""
        from penstock.runtimes.generation import tokenizers

        options = engine_options.read(VllmOptions, model.engine_options, "vLLM")
        arguments = vllm_settings.arguments(spec, model, options)
        self._model = model
        tokenizer = tokenizers.of_file(_tokenizer_file(spec, model))
        self._vllm = _library(spec)
        self._stepper = _stepper(self._vllm, arguments, self._figures)
        self._adapters = _adapters(model)
        self.can = self.can._replace(adapters=bool(self._adapters), min_tokens=True, min_p=not model.speculative)
        return tokenizer

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        """Adds a sequence. vLLM's own refusals are the request's fault."""
        fits.check(prompt, sampling, self._stepper.vocabulary, self._model.context)
        room = self._model.context - len(prompt)
        parameters = vllm_sampling.parameters(self._vllm, sampling, room, self._model.eos, grammar)
        lora = self._adapter(adapter)
        try:
            self._stepper.submit(str(id), prompt, parameters, lora)
        except (ValueError, self._vllm.exceptions.VLLMValidationError) as error:
            raise BadInput(f"vLLM refuses the request: {error}") from error
        self._asked[id] = sampling.logprobs

    def _adapter(self, name: str) -> Any:
        if not name:
            return None
        if name not in self._adapters:
            raise BadInput(f"the model has no adapter {name!r}")
        number, path = self._adapters[name]
        return import_module("vllm.lora.request").LoRARequest(name, number, path)

    def cancel(self, id: int) -> None:
        """Drops a sequence; its blocks are free at once."""
        if id in self._asked:
            self._forget(id)
            self._stepper.abort(str(id))

    def step(self) -> list[Progress]:
        """Computes once for all sequences."""
        outputs = [output for output in self._stepper.step() if int(output.request_id) in self._asked]
        return [self._progress(int(output.request_id), output) for output in outputs]

    def _progress(self, id: int, output: Any) -> Progress:
        part = output.outputs[0]
        tokens = list(part.token_ids)
        choices = vllm_sampling.choices(tokens, part.logprobs, self._asked[id])
        cached = 0 if id in self._begun else output.num_cached_tokens or 0
        self._begun.add(id)
        finished, error = _end(part.finish_reason)
        draft, accepted = _guesses(getattr(part, "spec_decode_metrics", None))
        if finished:
            self._forget(id)
        return Progress(id, tokens, choices, finished, cached, draft, accepted, error)

    def _forget(self, id: int) -> None:
        del self._asked[id]
        self._begun.discard(id)

    @property
    def busy(self) -> bool:
        """Whether there are unfinished sequences."""
        return bool(self._asked)

    def stats(self) -> EngineStats:
        """The engine's present state."""
        return self._figures.stats(len(self._asked))


def _library(spec: ModelSpec) -> Any:
    os.environ.update(vllm_settings.environment(spec))
    try:
        return import_module("vllm")
    except ImportError as error:
        raise MissingExtra("vLLM is not installed: pip install 'penstock[vllm]'", detail=str(error)) from error


def _stepper(vllm: Any, arguments: dict[str, Any], figures: Figures) -> Stepper:
    try:
        config = vllm.EngineArgs(**arguments).create_engine_config()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"vLLM refuses the model's settings: {_in_short(error)}", detail=str(error)) from error
    try:
        return (Copies if arguments.get("data_parallel_size", 1) > 1 else Here)(vllm, config, figures)
    except Exception as error:
        raise ModelFileError(f"vLLM cannot load the model: {_in_short(error)}", detail=str(error)) from error


def _in_short(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    plain = [line for line in lines if "/" not in line and "validation error" not in line]
    return ": ".join(plain[:2])[:300] if plain else type(error).__name__


def _tokenizer_file(spec: ModelSpec, model: LanguageModel) -> Path:
    file = Path(model.tokenizer) if model.tokenizer else Path(spec.path) / "tokenizer.json"
    if not file.is_file():
        raise ModelFileError("the model has no tokenizer.json; transformers' save_pretrained writes one")
    return file


def _adapters(model: LanguageModel) -> dict[str, tuple[int, str]]:
    """By name, vLLM's number and the folder."""
    numbered = enumerate(model.adapters.items(), 1)
    return {name: (number, str(_folder(Path(path)))) for number, (name, path) in numbered}


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path


def _end(reason: str | None) -> tuple[Finished, str]:
    match reason:
        case None:
            return "", ""
        case "stop" | "length":
            return reason, ""
        case "repetition":
            return "stop", ""
    return "error", f"vLLM ended the sequence: {reason}"


def _guesses(metrics: Any) -> tuple[int, int]:
    """Guessed tokens and right ones, which vLLM tells at the end."""
    if metrics is None:
        return 0, 0
    accepted = sum(count * right for right, count in enumerate(metrics.histogram))
    return metrics.num_draft_tokens, accepted
