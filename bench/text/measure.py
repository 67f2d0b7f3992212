"""The text part: the plain load, the repeating load, and the server's own share of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from bench.contestant import Contestant
from bench.field import Field, Maker, Runner, Wrong, interleave, recorded, running
from bench.http import post
from bench.results import Overhead, Part, Similarity, Text
from bench.text import ours, overhead, rivals
from bench.text.doors import Entrant
from bench.text.material import Material, prepare
from bench.text.metrics import hit_rate
from bench.text.zipf import repeated
from bench.wrk import WrkError

CONNECTIONS = (1, 32, 128)
JUDGED = 32

Entry = Callable[[Material], Entrant]

PLAIN: dict[str, Entry] = {
    rivals.FASTAPI: rivals.fastapi,
    ours.FP32: ours.fp32,
    ours.BF16: ours.bf16,
    ours.INT8: ours.int8,
    ours.INT8_DYNAMIC: ours.int8_dynamic,
    ours.INT8_BASE64: ours.int8_base64,
    rivals.FASTAPI_ONE: rivals.fastapi_one_thread,
    rivals.INFINITY: rivals.infinity,
}
REPEATING: dict[str, Entry] = {
    rivals.FASTAPI: rivals.fastapi_repeating,
    ours.FP32_CACHE: ours.fp32_cache,
    ours.INT8_CACHE: ours.int8_cache,
}
LOOPED = (ours.FP32, ours.BF16, ours.INT8)
_LOOPED_ROUNDS = 3


def measure(folder: Path, rounds: int, seconds: float) -> Text:
    """Everything, one contestant awake at a time."""
    material = prepare(folder, rounds + 1, seconds)
    found = Text(Part(), Part(), asked_before=median(repeated(order) for _, order in material.arrivals))
    entrants: dict[str, Entrant] = {}
    with running(_makers(PLAIN, material, entrants), folder) as field:
        loads = interleave(field, CONNECTIONS, rounds, seconds)
        found.overhead = _overheads(field, material, min(rounds, _LOOPED_ROUNDS), seconds)
        found.similarity |= _similarities(field, entrants, material)
        found.plain = recorded(field, loads)
    with running(_makers(REPEATING, material, entrants), folder) as field:
        loads = interleave(field, [JUDGED], rounds, seconds)
        found.hits = _hits(field)
        found.similarity |= _similarities(field, entrants, material)
        found.repeating = recorded(field, loads)
    return found


def similarity(runner: Runner, entrant: Entrant, material: Material) -> Similarity:
    """How near its embeddings of all probes are to torch's; each is asked twice, so that a cache answers too."""
    cosines = []
    for text, expected in zip(material.probes, material.references, strict=True):
        for _ in range(2):
            answer = post(runner.port, entrant.door.request(text))
            cosines.append(entrant.door.similarity(answer, expected))
    return Similarity(min(cosines), median(cosines))


def _makers(entries: Mapping[str, Entry], material: Material, entrants: dict[str, Entrant]) -> dict[str, Maker]:
    def maker(entry: Entry) -> Maker:
        def make() -> Contestant:
            entrant = entry(material)
            entrants[entrant.contestant.name] = entrant
            return entrant.contestant

        return make

    return {name: maker(entry) for name, entry in entries.items()}


def _similarities(field: Field, entrants: Mapping[str, Entrant], material: Material) -> dict[str, Similarity]:
    found = {}
    for runner in list(field.runners):
        name = runner.contestant.name
        with runner.awake():
            try:
                found[name] = similarity(runner, entrants[name], material)
            except ValueError as reason:
                field.drop(runner, str(reason))
    return found


def _hits(field: Field) -> dict[str, float]:
    found = {}
    for runner in field.runners:
        with runner.awake():
            rate = hit_rate(runner.port)
        if rate is not None:
            found[runner.contestant.name] = rate
    return found


def _overheads(field: Field, material: Material, rounds: int, seconds: float) -> dict[str, list[Overhead]]:
    found: dict[str, list[Overhead]] = {}
    for runner in [runner for runner in field.runners if runner.contestant.name in LOOPED]:
        try:
            found[runner.contestant.name] = overhead.measure(runner, material, JUDGED, rounds, seconds)
        except (Wrong, WrkError) as reason:
            field.drop(runner, str(reason))
    return found
