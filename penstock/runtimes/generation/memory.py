"""How much memory a language model will take, told before anything is loaded; and what fits into what is free."""

from __future__ import annotations

from typing import NamedTuple

from penstock.core.errors import ConfigError
from penstock.core.language import LanguageModel
from penstock.runtimes.generation import devices, free_memory
from penstock.runtimes.generation.footprints import Footprint, footprint
from penstock.runtimes.generation.spread import Spread, spread

SHARE = 0.9
"""The part of the free memory that a model may take: estimates are not exact, and others need some too."""
STEP = 256
"""Tokens by which a context is rounded down."""
LEAST = 512
"""A context that is chosen here is never shorter, unless the model was trained on less."""


class TooLarge(ConfigError):
    """A model does not fit into the memory that is free; the message says what would."""


class Estimate(NamedTuple):
    """Bytes that a worker takes once all its sequences are full.

    `weights`: as the engine keeps them. `kv`: the key-value cache. `overhead`: the process, its libraries, and what is
    computed on the way.
    """

    weights: int
    kv: int
    overhead: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.kv + self.overhead


def estimate(model: LanguageModel, engine: str, *, context: int, sequences: int, device: str = "cpu") -> Estimate:
    """What a model takes in one worker process, for so many sequences of so many tokens (prompt and answer).

    `device`: "cpu", "cuda" or "cuda:N"; of a GPU, what is in its memory, or in that of all over which it is spread.
    """
    kept, over = _kept(model, engine, device), spread(model, engine, device)
    weights = max(0, int(kept.weights(model) * over.scale) - over.aside)
    others = (max(over.gpus, 1) - 1) * kept.process
    return Estimate(weights, kept.cache(model, context, sequences), kept.overhead(model, context, sequences) + others)


def _kept(model: LanguageModel, engine: str, device: str) -> Footprint:
    return footprint(engine, device, str(model.engine_options.get("dtype", "auto")))


def available(device: str = "cpu") -> int | None:
    """Bytes that are free: of the GPU for a "cuda" device (None when nvidia-smi does not tell), else of this machine
    or of the container, whichever has less."""
    return free_memory.of_gpu(device) if device.startswith("cuda") else free_memory.of_machine()


def available_to(model: LanguageModel, engine: str, device: str) -> int | None:
    """Bytes that are free for a model on "cpu", "cuda" or "cuda:N": on all GPUs over which the engine spreads it.

    Raises `ConfigError` for engine options that are wrong.
    """
    over = spread(model, engine, device)
    if over == Spread() or not device.startswith("cuda"):
        return available(device)
    return over.room([each.free for each in devices.gpus(device)])


def fit(model: LanguageModel, engine: str, free: int | None, replicas: int = 1, device: str = "cpu") -> int:
    """The context to serve with: the one that was asked for, else what the model was trained on, as far as there is
    memory for `model.sequences` such answers in each of so many workers.

    `free`: bytes, or None when nobody knows. Raises `TooLarge` with the numbers, and what would fit, unless the model's
    `memory_check` is off.
    """
    wanted = model.context or model.trained_context
    if free is None:
        return wanted
    room = int(free * SHARE) // replicas
    needs = estimate(model, engine, context=wanted, sequences=model.sequences, device=device)
    room += _kept(model, engine, device).droppable(model)
    if needs.total <= room:
        return wanted
    least = min(LEAST, model.trained_context or LEAST)
    found = _context(model, engine, room, model.sequences, device)
    if model.context == 0 and found >= least:
        return found
    if not model.memory_check:
        return model.context or least
    raise TooLarge(_refusal(model, engine, needs, room, free, replicas, device))


def _context(model: LanguageModel, engine: str, room: int, sequences: int, device: str) -> int:
    """The longest context of which so many answers fit; 0 for none."""
    low, high = 0, (model.context or model.trained_context) // STEP
    while low < high:
        middle = (low + high + 1) // 2
        needs = estimate(model, engine, context=middle * STEP, sequences=sequences, device=device)
        fits = needs.total <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return low * STEP


def _sequences(model: LanguageModel, engine: str, room: int, context: int, device: str) -> int:
    """How many answers of such a context fit; 0 for none."""
    fitting = (
        count
        for count in range(model.sequences - 1, 0, -1)
        if estimate(model, engine, context=context, sequences=count, device=device).total <= room
    )
    return next(fitting, 0)


def _refusal(
    model: LanguageModel, engine: str, needs: Estimate, room: int, free: int, replicas: int, device: str
) -> str:
    context = model.context or model.trained_context
    each = "" if replicas == 1 else f" in each of {replicas} workers"
    return (
        f"it needs {in_words(needs.total)}{each}: weights {_digits(needs.weights, needs)}, cache "
        f"{_digits(needs.kv, needs)} for {model.sequences} answers of {context} tokens, overhead "
        f"{_digits(needs.overhead, needs)}; {in_words(free)} are free, and {SHARE:.0%} of that may be used; "
        f"{_remedy(model, engine, room, context, device)}; memory_check: false loads it without this estimate"
    )


def _remedy(model: LanguageModel, engine: str, room: int, context: int, device: str) -> str:
    ways = []
    if shorter := _context(model, engine, room, model.sequences, device):
        ways.append(f"context: {shorter}")
    if fewer := _sequences(model, engine, room, context, device):
        ways.append(f"sequences: {fewer}")
    if ways:
        return f"it would fit with {' or '.join(ways)}"
    alone = _context(model, engine, room, 1, device)
    if alone:
        return f"it would fit with sequences: 1 and context: {alone}"
    return "not even one answer fits; take a smaller model, or files in fewer bits"


def in_words(size: int) -> str:
    """Such as "9.8 GB" or "410 MB"."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def _digits(size: int, among: Estimate) -> str:
    """A part in the unit of the whole."""
    return f"{size / 1e9:,.1f}" if among.total >= 1e9 else f"{size / 1e6:,.0f}"
