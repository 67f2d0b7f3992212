"""How llama.cpp's samplers choose the next token of one sequence."""

from __future__ import annotations

import ctypes
import random
import weakref
from typing import Any

import numpy as np

from penstock.core.errors import BadInput
from penstock.core.generation import Sampling
from penstock.runtimes.generation.contract import Choice
from penstock.runtimes.generation.engines.llamacpp_network import Logits, Network

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
_ANY_SEED = 0xFFFFFFFF
_LOWEST = -9999.0


class NoToken(Exception):
    """No token may come next."""


class Candidates:
    """The vocabulary with its logits, as samplers take it; one serves all sequences in turn."""

    def __init__(self, library: Any, vocabulary: int):
        self._array = np.zeros(vocabulary, _CANDIDATE)
        self._ids = np.arange(vocabulary, dtype=np.int32)
        self._kind = library.llama_token_data_p
        self.native = library.llama_token_data_array()
        self.reference = ctypes.byref(self.native)

    def fill(self, logits: Logits, banned: list[int]) -> None:
        """All tokens with their logits; banned ones cannot be chosen."""
        self._array["id"] = self._ids
        self._array["logit"] = logits
        self._array["logit"][banned] = -np.inf
        self._point(len(self._ids))

    def only(self, token: int) -> None:
        """This one token."""
        self._array[0] = (token, 0.0, 0.0)
        self._point(1)

    def _point(self, size: int) -> None:
        self.native.data = ctypes.cast(self._array.ctypes.data, self._kind)
        self.native.size, self.native.selected, self.native.sorted = size, -1, False

    @property
    def possible(self) -> bool:
        """Whether any token can be chosen."""
        return bool((self._array["logit"][: self.native.size] > -np.inf).any())

    @property
    def chosen(self) -> int:
        """What a sampler selected."""
        return int(self.native.data[self.native.selected].id)


class Sampler:
    """Chooses the tokens of one sequence. `ends`: tokens that must not come before `min_tokens` of them."""

    def __init__(
        self, network: Network, candidates: Candidates, sampling: Sampling, ends: frozenset[int], grammar: str
    ):
        self._library = library = network.library
        self._candidates = candidates
        self._sampling = sampling
        self._ends = sorted(ends)
        self._grammar = _grammar(library, network, grammar) if grammar else None
        self._chain, self._repetition = _chain(library, network, sampling)
        self._plain = sampling.temperature == 0 and not (grammar or sampling.logit_bias or _penalized(sampling))
        self._owned = [pointer for pointer in (self._chain, self._grammar) if pointer]
        self.free = weakref.finalize(self, _free, library, self._owned)

    def read(self, prompt: list[int]) -> None:
        """Lets the repetition penalty know the prompt."""
        if self._repetition is not None:
            for token in prompt:
                self._library.llama_sampler_accept(self._repetition, token)

    def choose(self, logits: Logits, generated: int) -> int:
        """The next token, after so many generated ones. Raises NoToken."""
        banned = self._ends if generated < self._sampling.min_tokens else []
        if self._plain and not banned:
            return int(logits.argmax())
        token = self._draw(logits, banned)
        if self._grammar and not self._allowed(token):
            token = self._obey(logits)
        return token

    def accept(self, token: int) -> None:
        """The token stands."""
        self._library.llama_sampler_accept(self._chain, token)
        if self._grammar:
            self._library.llama_sampler_accept(self._grammar, token)

    def _draw(self, logits: Logits, banned: list[int]) -> int:
        self._candidates.fill(logits, banned)
        self._library.llama_sampler_apply(self._chain, self._candidates.reference)
        return self._candidates.chosen

    def _allowed(self, token: int) -> bool:
        self._candidates.only(token)
        self._library.llama_sampler_apply(self._grammar, self._candidates.reference)
        return self._candidates.possible

    def _obey(self, logits: Logits) -> int:
        """Chooses among what the grammar allows."""
        self._candidates.fill(logits, [])
        self._library.llama_sampler_apply(self._grammar, self._candidates.reference)
        if not self._candidates.possible:
            raise NoToken("the grammar allows no token here")
        self._library.llama_sampler_apply(self._chain, self._candidates.reference)
        return self._candidates.chosen


def choice(logits: Logits, token: int, top: int) -> Choice:
    """A token's log-probability, before any sampling setting, and those of the `top` likeliest."""
    highest = float(logits.max())
    total = highest + float(np.log(np.exp(logits - highest).sum(dtype=np.float64)))
    likeliest = np.argpartition(logits, -top)[-top:] if top else np.empty(0, np.int64)
    likeliest = likeliest[np.argsort(-logits[likeliest], kind="stable")]
    shown = tuple((int(id), _clipped(float(logits[id]) - total)) for id in likeliest)
    return Choice(_clipped(float(logits[token]) - total), shown)


def _clipped(logprob: float) -> float:
    return max(logprob, _LOWEST) if logprob == logprob else _LOWEST


def _penalized(sampling: Sampling) -> bool:
    return bool(sampling.presence_penalty or sampling.frequency_penalty or (sampling.repetition_penalty or 1.0) != 1.0)


def _chain(library: Any, network: Network, sampling: Sampling) -> tuple[Any, Any]:
    """The samplers in order, and the one that counts repetition. Temperature comes before what it is to influence."""
    chain = library.llama_sampler_chain_init(library.llama_sampler_chain_default_params())
    size, window = network.vocabulary, network.size.context
    if sampling.logit_bias:
        library.llama_sampler_chain_add(chain, _bias(library, size, sampling.logit_bias))
    repetition = None
    penalty = sampling.repetition_penalty or 1.0
    if penalty != 1.0:
        repetition = library.llama_sampler_init_penalties(size, window, penalty, 0.0, 0.0)
        library.llama_sampler_chain_add(chain, repetition)
    if sampling.presence_penalty or sampling.frequency_penalty:
        frequency, presence = sampling.frequency_penalty, sampling.presence_penalty
        counted = library.llama_sampler_init_penalties(size, window, 1.0, frequency, presence)
        library.llama_sampler_chain_add(chain, counted)
    for sampler in _drawing(library, sampling):
        library.llama_sampler_chain_add(chain, sampler)
    return chain, repetition


def _drawing(library: Any, sampling: Sampling) -> list[Any]:
    if not sampling.temperature:
        return [library.llama_sampler_init_greedy()]
    samplers = [library.llama_sampler_init_temp(sampling.temperature)]
    if sampling.min_p:
        samplers.append(library.llama_sampler_init_min_p(sampling.min_p, 1))
    if sampling.top_k:
        samplers.append(library.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p is not None and sampling.top_p < 1.0:
        samplers.append(library.llama_sampler_init_top_p(sampling.top_p, 1))
    return [*samplers, library.llama_sampler_init_dist(_seed(sampling.seed))]


def _seed(seed: int | None) -> int:
    """Of 64 bits, 32; never the one that means any."""
    return random.randrange(_ANY_SEED) if seed is None else (seed ^ (seed >> 32)) % _ANY_SEED


def _bias(library: Any, vocabulary: int, biases: dict[int, float]) -> Any:
    array = (library.llama_logit_bias * len(biases))()
    for entry, (token, bias) in zip(array, biases.items(), strict=True):
        entry.token, entry.bias = token, bias
    return library.llama_sampler_init_logit_bias(vocabulary, len(biases), array)


def _grammar(library: Any, network: Network, grammar: str) -> Any:
    sampler = library.llama_sampler_init_grammar(network.vocab, grammar.encode(), b"root")
    if not sampler:
        raise BadInput("llama.cpp cannot read the grammar")
    return sampler


def _free(library: Any, samplers: list[Any]) -> None:
    for sampler in samplers:
        library.llama_sampler_free(sampler)
