"""Inside the converter's process: two versions of a model on the same rows, by the runtimes that serve them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from penstock.conversion import data, feeds, machine, quality
from penstock.conversion.feeds import Feed
from penstock.conversion.jobs import Measure, Measured, Quality, Sample, Speed
from penstock.core import text as words
from penstock.core.errors import BadRows, ConfigError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature
from penstock.core.text import TextModel
from penstock.runtimes import registry
from penstock.runtimes.contract import Runtime
from penstock.runtimes.text.tokenizer import open_tokenizer

Say = Callable[[str], None]
BATCH = 32
ROUNDS = 5
_ROWS_TIMED = 512


class Loaded(NamedTuple):
    """A version that is ready to run."""

    runtime: Runtime
    signature: Signature


class Given(NamedTuple):
    """Rows to compare by, and where they come from, for people."""

    inputs: Feed
    labels: list[str] | None
    source: str


def measure(job: Measure, say: Say) -> Measured:
    """Does the work. Raises `ConfigError` for data that does not fit, and what the runtimes raise."""
    threads = machine.cores()
    say("loading both versions")
    before, after = (_loaded(spec, threads) for spec in (job.before, job.after))
    given = _given(job, before.signature)
    say("comparing their answers")
    found = quality.loss(before.signature, _answers(before, given, job), _answers(after, given, job), given.labels)
    rows = len(next(iter(given.inputs.values())))
    compared = Quality(
        task=found.task, loss=found.value, measure=found.measure, rows=rows, data=given.source, figures=found.figures
    )
    if job.seconds <= 0:
        return Measured(quality=compared, threads=threads)
    say("measuring speed")
    speeds = timed((before, after), given.inputs, job.seconds)
    return Measured(quality=compared, before=speeds[0], after=speeds[1], threads=threads)


def _loaded(spec: ModelSpec, threads: int) -> Loaded:
    runtime = registry.create_runtime(spec.runtime)
    return Loaded(runtime, runtime.load(msgspec.structs.replace(spec, threads=threads, device="cpu")))


def _given(job: Measure, signature: Signature) -> Given:
    if job.sample is not None:
        _check_label(job.sample, signature)
        rows = data.read(job.sample, signature)
        held = ", none of which calibrated it" if job.sample.part == "held-out" else ""
        source = f"{rows.chosen} of the {rows.total} rows of {Path(job.sample.file).name}{held}"
        return Given(_whole(rows.inputs, signature), rows.labels, source)
    if signature.task:
        return Given(_whole(_own(job.before), signature), None, feeds.OWN)
    return Given(feeds.drawn(signature), None, feeds.RANDOM)


def _check_label(sample: Sample, signature: Signature) -> None:
    """Raises `ConfigError` when a person names right answers that nothing would be compared with."""
    if sample.label is not None and signature.task not in ("", "classification"):
        raise ConfigError(f"{signature.task} is compared without right answers; leave the column {sample.label!r} out")


def _own(spec: ModelSpec) -> Feed:
    model = msgspec.convert(spec.options, TextModel)
    return feeds.own(model, open_tokenizer(Path(spec.path).parent / model.tokenizer, model.vocab_size))


def _whole(inputs: Feed, signature: Signature) -> Feed:
    """Text models cut what is too long: both versions read the same."""
    if not signature.task:
        return inputs
    return {**inputs, words.TRUNCATE: np.ones(len(inputs[words.TEXT]), np.bool_)}


def _answers(version: Loaded, given: Given, job: Measure) -> Feed:
    """All outputs for all rows."""
    signature = version.signature
    found: list[Feed] = []
    for feed in feeds.batches(given.inputs, signature, BATCH):
        try:
            outputs = version.runtime.run(dict(feed))
        except BadRows as error:
            name = Path(job.sample.file).name if job.sample is not None else feeds.OWN
            raise ConfigError(f"{name}: {error.message}") from error
        found.append(
            {name: np.array(value) if signature.batched else np.array(value)[None] for name, value in outputs.items()}
        )
    rows = len(next(iter(given.inputs.values())))
    return {name: np.concatenate([each[name] for each in found])[:rows] for name in found[0]}


# --- speed


def timed(versions: Sequence[Loaded], inputs: Feed, seconds: float) -> list[Speed]:
    """The speed of each version, in rounds that take turns, so that what else the machine does meets both alike."""
    signature = versions[0].signature
    few = {name: array[:_ROWS_TIMED] for name, array in inputs.items()}
    single = list(feeds.batches(few, signature, 1))
    together = list(feeds.batches(few, signature, BATCH))
    rows = signature.fixed_rows or min(BATCH, len(next(iter(few.values())))) if signature.batched else 1
    share = seconds / (len(versions) * ROUNDS * 2)
    latencies: list[list[float]] = [[] for _ in versions]
    rates: list[list[float]] = [[] for _ in versions]
    for version, batches in itertools.product(versions, (single, together)):
        _until(version, batches, share)
    for _ in range(ROUNDS):
        for version, latency, rate in zip(versions, latencies, rates, strict=True):
            latency.extend(_until(version, single, share))
            times = _until(version, together, share)
            rate.append(_rows(together, signature, len(times)) / sum(times))
    return [_speed(latency, rate, rows) for latency, rate in zip(latencies, rates, strict=True)]


def _until(version: Loaded, batches: Sequence[Feed], seconds: float) -> list[float]:
    """How long each call took, every batch in turn, until the time is up."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    for feed in itertools.cycle(batches):
        began = time.perf_counter()
        version.runtime.run(dict(feed))
        now = time.perf_counter()
        times.append(now - began)
        if now >= end:
            return times
    return times


def _rows(batches: Sequence[Feed], signature: Signature, calls: int) -> int:
    """Rows that so many calls in turn held."""
    sizes = [len(next(iter(feed.values()))) if signature.batched else 1 for feed in batches]
    return sum(itertools.islice(itertools.cycle(sizes), calls))


def _speed(latencies: Sequence[float], rates: Sequence[float], rows: int) -> Speed:
    p50, p99 = np.percentile(np.array(latencies) * 1000, (50, 99))
    return Speed(p50_ms=float(p50), p99_ms=float(p99), rows_per_s=float(np.median(rates)), batch=rows)
