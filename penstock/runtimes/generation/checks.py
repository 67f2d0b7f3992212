"""What is checked of a request before an engine gets it: what is refused, and why, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import msgspec

from penstock.core.errors import BadInput, ContextExceeded
from penstock.core.generation import Generation, Sampling
from penstock.core.language import LanguageModel
from penstock.core.ranges import LEAST_SHARE
from penstock.runtimes.generation.contract import Capabilities
from penstock.runtimes.generation.engines import choice

_Able = Callable[[Capabilities], bool]
_NAMED = 8
PLAIN = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
"""How tokens are chosen where neither the request nor the model says."""
LEAST_TEMPERATURE = 1e-5
"""Below it, the likeliest token is as good as certain, and logits divided by it may be no numbers any more."""


def refuse(message: str, param: str | None = None) -> NoReturn:
    """Raises `BadInput` with the field that is to blame."""
    error = BadInput(message)
    error.param = param
    raise error


class Checks:
    """What one model can be asked for. What its engine does not offer is refused, naming an engine that does.
    `vocabulary`: how many token ids there are."""

    def __init__(self, engine: str, can: Capabilities, model: LanguageModel, vocabulary: int):
        self._engine = engine
        self._can = can
        self._model = model
        self._vocabulary = vocabulary

    def request(self, generation: Generation) -> None:
        """Everything that can be told before the prompt is known. Raises `BadInput`."""
        self._adapter(generation.adapter)
        self._sampling(generation.sampling)
        if generation.echo and generation.sampling.logprobs is not None:
            says = "log-probabilities of a prompt's own tokens are shown by no engine here; leave out echo or logprobs"
            refuse(says, "echo")
        self._ids(generation.sampling.stop_token_ids, "stop_token_ids")
        self._ids(generation.sampling.logit_bias, "logit_bias")

    def prompt(self, generation: Generation) -> None:
        """That something was asked, in token ids that there are. Raises `BadInput`."""
        if not generation.messages and generation.prompt is None:
            refuse("nothing was asked: there are neither messages nor a prompt", "messages")
        if isinstance(generation.prompt, tuple):
            self._ids(generation.prompt, "prompt")

    def _sampling(self, asked: Sampling) -> None:
        need = self._need
        if asked.logprobs is not None:
            need(lambda can: can.logprobs, "show log-probabilities", "logprobs")
        most = asked.logprobs or 0
        if most > self._can.top_logprobs:
            deed = f"show {most} alternatives per token (but {self._can.top_logprobs})"
            need(lambda can: can.top_logprobs >= most, deed, "top_logprobs")
        if asked.logit_bias:
            need(lambda can: can.logit_bias, "add a bias to tokens", "logit_bias")
        if asked.min_p:
            need(lambda can: can.min_p, "apply min_p", "min_p")
        if asked.presence_penalty or asked.frequency_penalty:
            param = "presence_penalty" if asked.presence_penalty else "frequency_penalty"
            need(lambda can: can.penalties, "apply presence and frequency penalties", param)
        if asked.repetition_penalty not in (None, 1.0):
            need(lambda can: can.repetition_penalty, "apply a repetition penalty", "repetition_penalty")
        if asked.min_tokens:
            need(lambda can: can.min_tokens, "put off the end of an answer", "min_tokens")

    def grammar(self, param: str, asked: Sampling) -> None:
        """Raises `BadInput` unless answers can be made to follow a grammar, with these settings."""
        late = "ignore_eos" if asked.ignore_eos else "min_tokens" if asked.min_tokens else ""
        if late:
            refuse(f"{late}: an answer that follows a schema ends where the schema says; leave {late} out", late)
        self._need(lambda can: can.grammar, "make answers follow a schema or call tools on demand", param)

    def _need(self, able: _Able, deed: str, param: str) -> None:
        if able(self._can):
            return
        others = [name for name, can in choice.OFFERS.items() if name != self._engine and able(can)]
        hint = f"; {' or '.join(others)} can (the model's setting `engine`)" if others else ""
        refuse(f"{param}: the engine {self._engine} cannot {deed}{hint}", param)

    def _adapter(self, name: str) -> None:
        if not name:
            return
        known = self._model.adapters
        if name not in known:
            some = f"it has {', '.join(sorted(known))}" if known else "it has none"
            refuse(f"the model has no adapter {name[:64]!r}; {some}", "model")
        self._need(lambda can: can.adapters, "apply LoRA adapters", "model")

    def _ids(self, tokens: Iterable[int], param: str) -> None:
        wrong = [token for token in tokens if not 0 <= token < self._vocabulary][:_NAMED]
        if wrong:
            named = ", ".join(map(str, wrong))
            refuse(f"{param}: the model has no tokens {named}; ids go from 0 to {self._vocabulary - 1}", param)

    def filled(self, generation: Generation, tokens: int) -> Sampling:
        """The settings in force for a prompt of so many tokens: the request's, else the model's, else none.

        Raises `ContextExceeded` when prompt and answer are longer than the context.
        """
        asked, context = generation.sampling, self._model.context
        room = context - tokens
        most = asked.max_tokens or 0
        if room < 1:
            param = "messages" if generation.messages else "prompt"
            raise too_long(f"the prompt has {tokens} tokens, which leaves no room for an answer", context, param)
        if most > room:
            text = f"the prompt's {tokens} tokens and the {most} tokens of max_tokens make {tokens + most}"
            raise too_long(text, context, "max_tokens")
        if asked.min_tokens > (most or room):
            refuse(f"min_tokens: {asked.min_tokens} are more than the {most or room} that there may be", "min_tokens")
        filled = msgspec.structs.replace(asked, max_tokens=most or room, **self._defaults(asked))
        if (filled.temperature or 0.0) < LEAST_TEMPERATURE:
            return msgspec.structs.replace(filled, temperature=0.0)
        return filled

    def _defaults(self, asked: Sampling) -> dict[str, Any]:
        """What the request leaves open. What the model recommends and the engine cannot do does not hold."""
        able = {"min_p": self._can.min_p, "repetition_penalty": self._can.repetition_penalty}
        recommended = {name: value for name, value in self._model.defaults.items() if able.get(name, True)}
        own = {name: recommended.get(name, value) for name, value in PLAIN.items()}
        # As requests are read: -1 stands for all tokens, and one token is left of a share of 0.
        own |= {"top_k": max(own["top_k"], 0), "top_p": max(own["top_p"], LEAST_SHARE)}
        return {name: value for name, value in own.items() if getattr(asked, name) is None}


def too_long(text: str, context: int, param: str) -> ContextExceeded:
    """The error of a request that has no room in the context; `text` says why."""
    error = ContextExceeded(f"{text}; the model's context is {context} tokens, prompt and answer together")
    error.param = param
    return error
