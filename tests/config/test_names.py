"""Limits and prices name what is served, and are numbers that money can be counted with."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.file import load
from penstock.config.schema import Config
from penstock.core.errors import ConfigError

HEAD = """
models:
  small: ./small.gguf
  premium: openai:gpt-5-mini
  own: http://127.0.0.1:9/v1#llama
aliases: {best: premium@1}
routes:
  chat: {models: [small, premium]}
"""


def read(folder: Path, text: str) -> Config:
    file = folder / "penstock.yaml"
    file.write_text(HEAD + text)
    return load(file, environ={})


def test_every_kind_of_name(tmp_path: Path) -> None:
    limits = "{small: {concurrency: 1}, best: {budget_per_day: 1}, chat: {requests_per_minute: 5}}"
    prices = "{small: {hourly: 1}, premium@1: {prompt: 1}, openai:gpt-5-mini: {}, compatible:llama: {}, machine: {}}"
    config = read(tmp_path, f"tenants: {{acme: {{models: {limits}}}}}\nprices: {prices}")
    assert len(config.prices) == 5
    assert len(config.tenants["acme"].models) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tenants: {acme: {models: {premuim: {concurrency: 1}}}}", "tenants.acme.models.premuim.*did you mean premium"),
        ("tenants: {'*': {models: {premium@1: {concurrency: 1}}}}", "limits hold for all together; name premium"),
        ("prices: {premuim: {prompt: 1}}", "prices.premuim.*did you mean premium"),
        ("prices: {'openai:gpt-5-minni': {prompt: 1}}", "did you mean openai:gpt-5-mini"),
        ("prices: {'opnai:gpt-5-mini': {prompt: 1}}", "did you mean openai:gpt-5-mini"),
        ("prices: {machin: {hourly: 1}}", "did you mean machine"),
        ("prices: {chat: {prompt: 1}}", "'chat' is a route; name the models behind it"),
        ("prices: {best: {prompt: 1}}", "'best' is an alias; name premium@1"),
        ("prices: {small: {prompt: -5}}", "prices.small.prompt.*at least 0"),
        ("prices: {small: {cached: -5}}", "prices.small.cached.*at least 0"),
        ("prices: {small: {hourly: .nan}}", "prices.small.hourly.*at least 0.*nan"),
        ("prices: {small: {request: .inf}}", "prices.small.request.*finite"),
        ("tenants: {acme: {requests_per_minute: .inf}}", "tenants.acme.requests_per_minute.*finite"),
        ("tenants: {acme: {each_key: {tokens_per_minute: .inf}}}", "each_key.tokens_per_minute.*finite"),
        ("tenants: {acme: {budget_per_day: .nan}}", "budget_per_day.*at least 0.*nan"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){says}"):
        read(tmp_path, text)


def test_models_may_come_from_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("prices: {iris: {hourly: 1}}\ntenants: {acme: {models: {iris: {concurrency: 1}}}}")
    assert load(file, environ={}).prices["iris"].hourly == 1
