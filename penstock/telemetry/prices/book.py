"""What the answers of served models cost, by the configuration's prices, the public list and this machine's rent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from penstock.core.model import ModelSpec
from penstock.core.prices import Price, of_time, of_tokens
from penstock.core.reply import Meta
from penstock.telemetry.prices.machine import cores, gpus, hourly
from penstock.telemetry.prices.public import public

MACHINE = "machine"
"""The name of this machine's own price, among those of the configuration."""
RULE = "rule"
"""The name under which answers without a model come; they cost nothing."""
FREE = Price()


class Priced(NamedTuple):
    """A served model's price, and the share of the machine (0 to 1) that one worker of it keeps busy."""

    price: Price
    share: float = 0.0


class PriceBook:
    """`own`: the configuration's prices, by a model's name, "name@version", "provider:model", or "machine"."""

    def __init__(self, own: Mapping[str, Price]):
        self._own = dict(own)
        self._known: dict[str, Priced] = {RULE: Priced(FREE)}
        self._busy: dict[str, float] = {}

    @classmethod
    def load(cls, own: Mapping[str, Price]) -> PriceBook:
        """A book with these prices before the public ones, which are read when the first model needs them."""
        return cls(own)

    def add(self, spec: ModelSpec, threads: int = 1) -> None:
        """A model is served; `threads`: of one worker. Where it has no price, its answers cost nobody knows what."""
        price = self.price(spec)
        if price is None:
            return
        priced = Priced(price, self._share(spec, threads) if price.hourly else 0.0)
        self._known[spec.name] = self._known[f"{spec.name}@{spec.version}"] = priced

    def price(self, spec: ModelSpec) -> Price | None:
        """A model's price: one's own, else the public one of its provider, else this machine's rent. None where
        nobody knows it."""
        provider, model = remote(spec)
        for name in (f"{spec.name}@{spec.version}", spec.name, f"{provider}:{model}"):
            if name in self._own:
                return self._own[name]
        return public().price(provider, model) if provider else self._machine(spec)

    def knows(self, name: str) -> bool:
        """Whether a served model has a price."""
        return name in self._known

    def cost(self, name: str, meta: Meta) -> float | None:
        """USD that an answer of this model took, by its tokens and its worker's time; None without a price. An answer
        that was kept costs nothing."""
        if meta.cache == "hit":
            return 0.0
        known = self._of(name, meta.version)
        if known is None:
            return None
        if known.price.hourly:
            self._learn(name, meta.busy_s)
        return _spent(known, meta)

    def expected(self, name: str, prompt_tokens: int, answer_tokens: int, busy_s: float | None = None) -> float:
        """USD that an answer of these sizes will probably cost. `busy_s`: seconds that a local model will be busy with
        it (None: as long as usually). 0 where no price is known."""
        known = self._known.get(name)
        if known is None:
            return 0.0
        price, share = known
        usual = self._busy.get(name.partition("@")[0], 0.0)
        time = of_time(price, usual if busy_s is None else busy_s, share) if price.hourly else 0.0
        return of_tokens(price, prompt_tokens, 0, answer_tokens) + time

    def premium(self, names: Iterable[str], meta: Meta) -> float | None:
        """USD that the dearest of these models would have taken for an answer of the same tokens; None where the
        prices of all are unknown. Tokenizers differ, so it is an estimate; who answered counts with what it took."""
        usage = meta.usage
        sizes = (usage.prompt_tokens, usage.completion_tokens) if usage is not None else (0, 0)
        costs = [self.expected(name, *sizes) for name in names if name in self._known]
        taken = self._of(meta.model, meta.version)
        if costs and taken is not None and meta.cache != "hit":
            costs.append(_spent(taken, meta))
        return max(costs, default=None)

    def _of(self, name: str, version: str) -> Priced | None:
        return self._known.get(f"{name}@{version}") or self._known.get(name)

    def _learn(self, name: str, busy_s: float) -> None:
        """Moves the usual busy time of a model's answers a little."""
        usual = self._busy.get(name)
        self._busy[name] = busy_s if usual is None else usual + 0.1 * (busy_s - usual)

    def _machine(self, spec: ModelSpec) -> Price | None:
        if MACHINE in self._own:
            return self._own[MACHINE]
        rent = hourly(cores(), gpus() if _on_gpu(spec) else ())
        return None if rent is None else Price(hourly=rent)

    def _share(self, spec: ModelSpec, threads: int) -> float:
        if _on_gpu(spec):
            return 1 / max(1, len(gpus()))
        return min(1.0, threads / cores())


def remote(spec: ModelSpec) -> tuple[str, str]:
    """The provider of a model and its name there; empty for a local one."""
    provider, model = spec.options.get("provider"), spec.options.get("model")
    known = spec.runtime == "remote" and isinstance(provider, str) and isinstance(model, str)
    return (str(provider), str(model)) if known else ("", "")


def _on_gpu(spec: ModelSpec) -> bool:
    """Whether it runs on a GPU: by its device, or on "auto" by its runtime, where there is one."""
    if spec.device != "auto":
        return spec.device.startswith("cuda")
    return bool(gpus()) and spec.runtime in _TAKES_GPU


_TAKES_GPU = frozenset(("torch", "vllm", "transformers", "llamacpp"))
"""Runtimes that take a GPU when there is one and nobody says otherwise."""


def _spent(known: Priced, meta: Meta) -> float:
    price, share = known
    time = of_time(price, meta.busy_s, share) if price.hourly else 0.0
    usage = meta.usage
    if usage is None:
        return price.request + time
    return of_tokens(price, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) + time
