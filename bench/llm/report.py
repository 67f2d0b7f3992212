"""The sections on language models, one for each part: tables, and each target with what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.llm.load import Load
from bench.llm.measure import MODELS, Measured, Speed

OURS, THEIRS = "Penstock", "llama-server"
LOAD_GENERATOR = "clients in Python (bench/llm), one process, on the same machine"


def section_name(part: str) -> str:
    """Of a part's section of the page."""
    return "Language models" if part == "speed" else f"Language models, {part}"


def section(part: str, measured: Measured, machine: dict[str, str]) -> str:
    """A part in Markdown."""
    lines = [" · ".join(f"{key}: {value}" for key, value in machine.items()), "", *_PARTS[part](measured)]
    return "\n".join([*lines, *(f"- not measured: {why}" for why in measured.absent)])


def _speed(measured: Measured) -> Iterator[str]:
    yield "A random llama of 300M parameters, prompts of 128 token ids, 64 new tokens, greedy, streamed; medians of"
    yield from ("rounds, one run, interleaved, the others stopped meanwhile.", "")
    yield "| model | clients | who | tokens/s | to the first token p50 / p99 | each answer's tokens/s |"
    yield from ("|---|---|---|---|---|---|", *_rows(measured), "")
    for kind in MODELS:
        yield from (f"- {verdict}" for verdict in _verdicts(measured, kind))


def _rows(measured: Measured) -> Iterator[str]:
    for kind in MODELS:
        for clients in (16, 1):
            for speed in measured.speeds:
                if (speed.model, speed.clients) == (kind, clients) and speed.loads:
                    yield _row(speed)
            if (kind, clients) in measured.raw:
                yield f"| {kind} | {clients} | the raw engine | {measured.raw[kind, clients]:.1f} | | |"


def _row(speed: Speed) -> str:
    rate, each = speed.median(lambda load: load.rate), speed.median(lambda load: load.decode_rate)
    p50, p99 = (speed.median(_first(share)) for share in (0.5, 0.99))
    return f"| {speed.model} | {speed.clients} | {speed.name} | {rate:.1f} | {p50:.0f} / {p99:.0f} ms | {each:.1f} |"


def _first(share: float) -> Callable[[Load], float]:
    return lambda load: load.first_ms(share)


def _of(measured: Measured, name: str, kind: str, clients: int) -> Speed | None:
    for speed in measured.speeds:
        if (speed.name, speed.model, speed.clients) == (name, kind, clients) and speed.loads:
            return speed
    return None


def _verdicts(measured: Measured, kind: str) -> Iterator[str]:
    """Each target of a model's speed in a line."""
    ours, theirs = (_of(measured, name, kind, 16) for name in (OURS, THEIRS))
    if ours and theirs:
        yield _ratio(f"{kind}, 16 clients: tokens/s ÷ llama-server's", _rate(ours) / _rate(theirs), 1.6)
        for share in (0.5, 0.99):
            a, b = ours.median(_first(share)), theirs.median(_first(share))
            says = f"{kind}, 16 clients: first token p{100 * share:.0f} {a:.0f} ms, llama-server {b:.0f} ms"
            yield says + ("" if a < b else " **(missed)**")
    if ours and (kind, 16) in measured.raw:
        yield _ratio(f"{kind}, 16 clients: tokens/s ÷ the raw engine's", _rate(ours) / measured.raw[kind, 16], 0.9)
    alone, other = (_of(measured, name, kind, 1) for name in (OURS, THEIRS))
    if alone and other:
        a, b = (speed.median(lambda load: load.decode_rate) for speed in (alone, other))
        yield _ratio(f"{kind}, 1 client: decode rate ÷ llama-server's", a / b, 0.8)


def _prefix(measured: Measured) -> Iterator[str]:
    if measured.prefix:
        cold, warm = measured.prefix
        says = f"a shared prefix of 1,000 tokens: first token after {1000 * warm:.0f} ms instead of {1000 * cold:.0f}"
        yield f"- {_ratio(says, cold / warm, 5.0)}"


def _lookup(measured: Measured) -> Iterator[str]:
    if measured.lookup:
        plain, guessing, same = measured.lookup
        says = f"prompt lookup, the tiny model copying: {guessing:.0f} tokens/s instead of {plain:.0f}"
        yield f"- {_ratio(says + (', same text' if same else ', **other text**'), guessing / plain, 1.3)}"


def _rate(speed: Speed) -> float:
    return speed.median(_all)


def _all(load: Load) -> float:
    return load.rate


def _ratio(says: str, ratio: float, target: float) -> str:
    return f"{says}: {ratio:.2f}× (target {target}{'' if ratio >= target else ', **missed**'})"


def _memory(measured: Measured) -> Iterator[str]:
    if not measured.memory:
        return
    yield from ("| model | sequences | `penstock estimate` | worker, resident | difference |", "|---|---|---|---|---|")
    for each in measured.memory:
        off = each.resident / each.estimated - 1
        sizes = f"{each.estimated / 1e6:.0f} MB | {each.resident / 1e6:.0f} MB"
        missed = "" if abs(off) <= 0.15 else " **(missed)**"
        yield f"| {each.model} | {each.sequences} | {sizes} | {100 * off:+.0f} %{missed} |"
    yield ""


_PARTS: dict[str, Callable[[Measured], Iterator[str]]] = {
    "speed": _speed,
    "prefix": _prefix,
    "lookup": _lookup,
    "memory": _memory,
}
PARTS = tuple(_PARTS)
