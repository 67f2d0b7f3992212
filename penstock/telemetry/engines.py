"""The metrics of language models, under vLLM's names, which gateways and dashboards read, and under our own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from penstock.core.generation import EngineStats
from penstock.telemetry.generation import GenerationRecorder

THEIRS = ("model_name",)
OURS = ("model", "version")


@runtime_checkable
class Generating(Protocol):
    """A language model as the metrics page sees it."""

    @property
    def labels(self) -> tuple[str, str]: ...

    @property
    def generation(self) -> GenerationRecorder: ...

    @property
    def engine_stats(self) -> EngineStats: ...


class Name(NamedTuple):
    """One figure's names, vLLM's ("" where it has none) and ours, and what it counts."""

    theirs: str
    ours: str
    text: str


_SPANS = {
    "first": Name(
        "vllm:time_to_first_token_seconds", "penstock_first_token_seconds", "Seconds from arrival to the first token."
    ),
    "between": Name(
        "vllm:inter_token_latency_seconds", "penstock_token_gap_seconds", "Seconds between one piece and the next."
    ),
    "whole": Name("vllm:e2e_request_latency_seconds", "", "Seconds from arrival to the end."),
    "queue": Name("vllm:request_queue_time_seconds", "", "Seconds until the engine got the request."),
    "prefill": Name("vllm:request_prefill_time_seconds", "", "Seconds from there to the first token."),
    "decode": Name("vllm:request_decode_time_seconds", "", "Seconds from the first token to the end."),
}
_TOKENS = {
    "prompt_tokens": Name("vllm:prompt_tokens", "penstock_prompt_tokens", "Tokens of prompts."),
    "cached_tokens": Name("", "penstock_cached_tokens", "Of these, known from earlier requests."),
    "completion_tokens": Name("vllm:generation_tokens", "penstock_generated_tokens", "Tokens generated."),
    "draft_tokens": Name("vllm:spec_decode_num_draft_tokens", "penstock_draft_tokens", "Tokens guessed ahead."),
    "accepted_tokens": Name(
        "vllm:spec_decode_num_accepted_tokens", "penstock_accepted_tokens", "Guessed tokens that were right."
    ),
    "busy_s": Name("", "penstock_engine_seconds", "Seconds that engines were computing."),
}
_NOW = {
    "running": Name("vllm:num_requests_running", "penstock_sequences_running", "Sequences in the engine's batch."),
    "waiting": Name("vllm:num_requests_waiting", "penstock_sequences_waiting", "Requests that wait for a place."),
    "kv_usage": Name(
        "vllm:kv_cache_usage_perc", "penstock_kv_cache_usage", "Share of the key-value cache in use, 0 to 1."
    ),
}
_TOTALS = {
    "prefix_queries": Name("vllm:prefix_cache_queries", "penstock_prefix_queries", "Prompt tokens looked up."),
    "prefix_hits": Name("vllm:prefix_cache_hits", "penstock_prefix_hits", "Prompt tokens that were known."),
    "preemptions": Name("vllm:num_preemptions", "penstock_preemptions", "Sequences that lost their place for a while."),
}


def families(models: Sequence[Generating]) -> Iterator[Metric]:
    """Every figure of every language model; nothing where there is none."""
    if not models:
        return
    for key, name in _SPANS.items():
        yield from _histograms(models, key, name)
    for key, name in _TOKENS.items():
        yield from _counters(models, name, [float(getattr(model.generation, key)) for model in models])
    for key, name in _TOTALS.items():
        yield from _counters(models, name, [float(getattr(model.engine_stats, key)) for model in models])
    for key, name in _NOW.items():
        yield from _gauges(models, name, [float(getattr(model.engine_stats, key)) for model in models])
    yield _ends(models)


def _named(name: Name) -> Iterator[tuple[str, tuple[str, ...]]]:
    if name.theirs:
        yield name.theirs, THEIRS
    if name.ours:
        yield name.ours, OURS


def _labels(model: Generating, labels: tuple[str, ...]) -> list[str]:
    return list(model.labels[: len(labels)])


def _histograms(models: Sequence[Generating], key: str, name: Name) -> Iterator[Metric]:
    for title, labels in _named(name):
        family = HistogramMetricFamily(title, name.text, labels=labels)
        for model in models:
            histogram = model.generation.spans()[key]
            family.add_metric(_labels(model, labels), histogram.cumulative(), histogram.sum)
        yield family


def _counters(models: Sequence[Generating], name: Name, values: Sequence[float]) -> Iterator[Metric]:
    for title, labels in _named(name):
        family = CounterMetricFamily(title, name.text, labels=labels)
        for model, value in zip(models, values, strict=True):
            family.add_metric(_labels(model, labels), value)
        yield family


def _gauges(models: Sequence[Generating], name: Name, values: Sequence[float]) -> Iterator[Metric]:
    for title, labels in _named(name):
        family = GaugeMetricFamily(title, name.text, labels=labels)
        for model, value in zip(models, values, strict=True):
            family.add_metric(_labels(model, labels), value)
        yield family


def _ends(models: Sequence[Generating]) -> Metric:
    family = CounterMetricFamily(
        "vllm:request_success", "Answers by why they ended.", labels=[*THEIRS, "finished_reason"]
    )
    for model in models:
        for reason, count in sorted(model.generation.reasons.items()):
            family.add_metric([model.labels[0], reason], count)
    return family
