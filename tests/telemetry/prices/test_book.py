"""What answers cost: by tokens, by time, by nobody's price."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import msgspec
import pytest

from penstock.core.generation import Usage
from penstock.core.model import ModelSpec
from penstock.core.prices import Price, of_tokens
from penstock.core.reply import Meta
from penstock.telemetry.prices import machine
from penstock.telemetry.prices.book import PriceBook
from penstock.telemetry.prices.public import public


def remote(name: str, provider: str, model: str) -> ModelSpec:
    return ModelSpec(name=name, runtime="remote", path="", options={"provider": provider, "model": model})


def local(name: str, **more: object) -> ModelSpec:
    return ModelSpec(name=name, runtime="onnx", path="model.onnx", device="cpu", **more)  # type: ignore[arg-type]


def answered(model: str, usage: Usage | None = None, busy_s: float = 0.0, cache: str = "") -> Meta:
    meta = Meta(model, "1")
    meta.usage, meta.busy_s, meta.cache = usage, busy_s, cache
    return meta


def test_tokens_at_the_public_price() -> None:
    book = PriceBook.load({})
    book.add(remote("mini", "openai", "gpt-5-mini"))
    # 0.25 per million, cached 0.025, answers 2.00: 900 fresh, 100 cached, 500 generated.
    expected = (900 * 0.25 + 100 * 0.025 + 500 * 2.0) / 1e6
    assert book.cost("mini", answered("mini", Usage(1000, 100, 500))) == pytest.approx(expected)
    assert book.expected("mini", 1000, 500) == pytest.approx((1000 * 0.25 + 500 * 2.0) / 1e6)


def test_ones_own_price_goes_first_the_nearest_before_all() -> None:
    prices = {"openai:gpt-5-mini": Price(prompt=1), "mini": Price(prompt=2), "mini@7": Price(prompt=3)}
    book = PriceBook.load(prices)
    assert book.price(remote("other", "openai", "gpt-5-mini")) == Price(prompt=1)
    assert book.price(remote("mini", "openai", "gpt-5-mini")) == Price(prompt=2)
    spec = ModelSpec(name="mini", runtime="onnx", path="", version="7")
    assert book.price(spec) == Price(prompt=3)


def test_long_prompts_cost_what_the_provider_asks_for_them() -> None:
    price = Price(prompt=1.0, cached=0.1, completion=10.0, above=1000, above_prompt=2.0, above_completion=15.0)
    assert of_tokens(price, 1000, 500, 100) == pytest.approx((500 * 1.0 + 500 * 0.1 + 100 * 10) / 1e6)
    assert of_tokens(price, 1001, 500, 100) == pytest.approx((1001 * 2.0 + 100 * 15) / 1e6)


def test_a_kept_answer_and_a_rule_cost_nothing() -> None:
    book = PriceBook.load({})
    book.add(remote("mini", "openai", "gpt-5-mini"))
    assert book.cost("mini", answered("mini", Usage(1000, 0, 500), cache="hit")) == 0.0
    assert book.cost("rule", answered("rule")) == 0.0


def test_what_has_no_price_costs_nobody_knows_what() -> None:
    book = PriceBook.load({})
    book.add(remote("ours", "openai", "a-model-that-nobody-sells"))
    book.add(remote("vllm", "http", "qwen"))
    assert book.cost("ours", answered("ours", Usage(10, 0, 10))) is None
    assert book.cost("vllm", answered("vllm")) is None
    assert book.cost("stranger", answered("stranger")) is None
    assert book.expected("stranger", 10, 10) == 0.0


def test_local_models_pay_for_the_share_of_the_machine_that_they_keep_busy() -> None:
    book = PriceBook.load({"machine": Price(hourly=3.6)})
    book.add(local("iris"), threads=1)
    share = 1 / machine.cores()
    assert book.cost("iris", answered("iris", busy_s=2.0)) == pytest.approx(0.001 * 2 * share)
    book.add(local("wide"), threads=1000)
    assert book.cost("wide", answered("wide", busy_s=2.0)) == pytest.approx(0.002)


def test_a_machine_without_a_price_costs_what_a_rented_one_does() -> None:
    book = PriceBook.load({})
    book.add(local("iris"), threads=machine.cores())
    hour = book.cost("iris", answered("iris", busy_s=3600.0))
    assert hour == pytest.approx(machine.CORE * machine.cores())


@pytest.mark.parametrize(
    ("names", "price"),
    [
        (("NVIDIA H200",), machine.GPUS["H200"]),
        (("NVIDIA A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB"), 2 * machine.GPUS["A100-80GB"]),
        (("NVIDIA A100-SXM4-40GB",), machine.GPUS["A100"]),
        (("Tesla T4",), machine.GPUS["T4"]),
        (("NVIDIA L40S",), machine.GPUS["L40S"]),
        (("NVIDIA GeForce RTX 5090",), None),
        (("NVIDIA H200", "something new"), None),
        ((), 8 * machine.CORE),
    ],
)
def test_rents_of_gpus(names: tuple[str, ...], price: float | None) -> None:
    assert machine.hourly(8, names) == price


def test_what_a_local_answer_will_cost_is_learned() -> None:
    book = PriceBook.load({"machine": Price(hourly=3600.0)})
    book.add(local("iris"), threads=machine.cores())
    assert book.expected("iris", 0, 0) == 0.0
    assert book.expected("iris", 0, 0, busy_s=2.0) == pytest.approx(2.0)
    for _ in range(100):
        book.cost("iris", answered("iris", busy_s=0.5))
    assert book.expected("iris", 0, 0) == pytest.approx(0.5)


def test_the_dearest_of_a_route() -> None:
    book = PriceBook.load({})
    book.add(remote("mini", "openai", "gpt-5-mini"))
    book.add(remote("opus", "anthropic", "claude-opus-5-5"))
    names, usage = ["mini", "opus", "stranger"], Usage(1000, 0, 500)
    opus = (1000 * 4 + 500 * 20) / 1e6
    assert book.premium(names, answered("mini", usage)) == pytest.approx(opus)
    assert book.premium(names, answered("mini", usage, cache="hit")) == pytest.approx(opus)
    assert book.premium(["stranger"], answered("mini", usage)) is None


@pytest.mark.parametrize(
    ("provider", "model", "prompt"),
    [
        ("openai", "gpt-4o-2024-08-06", 2.5),
        ("anthropic", "claude-haiku-4-5-20251001", 1.0),
        ("azure", "gpt-4o", 2.5),
        ("azure", "text-embedding-3-large", 0.143),
        ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", 1.1),
        ("bedrock", "us.meta.llama3-3-70b-instruct-v1:0", 0.72),
        ("gemini", "gemini-2.5-pro", 1.25),
        ("mistral", "mistral-embed", 0.1),
        ("cohere", "embed-v4.0", 0.12),
    ],
)
def test_names_as_providers_write_them(provider: str, model: str, prompt: float) -> None:
    price = public().price(provider, model)
    assert price is not None
    assert price.prompt == prompt


def test_the_public_list_is_dated_and_plausible() -> None:
    found = public()
    assert date.fromisoformat(found.date) >= date(2026, 11, 21)
    for section in found.sections.values():
        assert section.source.startswith("https://")
        assert date.fromisoformat(section.checked) <= date.fromisoformat(found.date)
        for name, price in section.models.items():
            assert 0 < price.prompt <= 100, name
            assert 0 <= price.completion <= 500, name
            assert price.cached is None or price.cached < price.prompt, name
            if price.above:
                assert price.above_prompt > price.prompt, name
                assert price.above_completion >= price.completion, name


def test_local_models_read_no_list() -> None:
    program = """
import sys
from penstock.core.model import ModelSpec
from penstock.telemetry.prices.book import PriceBook
book = PriceBook.load({})
book.add(ModelSpec(name="iris", runtime="onnx", path="", device="cpu"))
assert book.price(ModelSpec(name="iris", runtime="onnx", path="", device="cpu")) is not None
assert "yaml" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_command_lists_ones_own_prices_first(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("prices: {my-haiku: {prompt: 0.05, completion: 0.25}}\n")
    command = [sys.executable, "-m", "penstock.cli.main", "prices"]
    said = subprocess.run([*command, "haiku"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    lines = [line.split() for line in said.stdout.splitlines() if "haiku" in line]
    assert lines[0] == ["my-haiku", "0.05", "0.25", "yours"]
    assert ["anthropic:claude-haiku-4-5", "1", "0.1", "5", "checked", "2026-11-21"] in lines
    none = subprocess.run([*command, "zzz"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "zzz" in none.stderr
    told = subprocess.run([*command, "mini", "--json"], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert {row["name"] for row in msgspec.json.decode(told.stdout)} >= {"openai:gpt-5-mini"}


@pytest.mark.parametrize("told", [(100, 500, 0), (100, -5, 0), (-100, 0, -100), (0, 10**9, 0)])
def test_no_provider_makes_an_answer_cheaper_than_nothing(told: tuple[int, int, int]) -> None:
    assert 0 <= of_tokens(Price(prompt=1.0, cached=0.1, completion=2.0), *told) <= 1e-4
