"""Routes in the configuration: read, and refused where they name what there is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.config.file import load
from penstock.config.schema import Config
from penstock.core.errors import ConfigError
from penstock.routing.settings import TargetSettings

HEAD = """
models:
  small: ./small.gguf
  large: {source: ./large.gguf}
routes:
  assistant:
"""


def read(folder: Path, text: str) -> Config:
    file = folder / "penstock.yaml"
    file.write_text(HEAD + "\n".join(f"    {line}" for line in text.strip().splitlines()))
    return load(file, environ={})


def test_a_list_of_models(tmp_path: Path) -> None:
    route = read(tmp_path, "models: [small, large@2]\npolicy: complexity\nfallback: [small]").routes["assistant"]
    assert (route.models, route.policy, route.fallback) == (("small", "large@2"), "complexity", ("small",))


def test_models_with_settings(tmp_path: Path) -> None:
    route = read(tmp_path, "policy: weighted\nmodels:\n  small: {weight: 9}\n  large: {weight: 1}").routes["assistant"]
    assert route.models == {"small": TargetSettings(weight=9), "large": TargetSettings(weight=1)}


def test_everything_at_once(tmp_path: Path) -> None:
    text = """
models: [large]
fallback: [cached, small, rule]
cache: {ttl_s: 60}
rule: {text: "We are closed."}
ladder: {steps: [small, cached, rule, refuse], enter_ms: 200}
ceilings: {cost: 0.01, latency_ms: 5000, load: 4}
shadow: {model: large, share: 0.05}
timeout_ms: 20000
hedge_ms: 500
"""
    route = read(tmp_path, text).routes["assistant"]
    assert route.ladder is not None
    assert route.ladder.steps == ("small", "cached", "rule", "refuse")
    assert route.cache is not None
    assert route.cache.ttl_s == 60


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: [small, larg]", "routes.assistant.models.*no model 'larg'.*did you mean large"),
        ("models: []", "must name at least one model"),
        ("models: [small]\npolicy: complexity", "at least two models"),
        ("models: [small]\nfallback: [rule]", "routes.assistant.rule.*missing"),
        ("models: [small]\nfallback: [cached]", "routes.assistant.cache.*missing"),
        ("models: [small]\nfallback: [refuse]", "no model 'refuse'"),
        ("models: [small]\nladder: {steps: []}", "at least one step"),
        ("models: [small]\nladder: {steps: [assistant]}", "is a route"),
        ("models: [small]\nshadow: {model: lage}", "shadow.model.*no model 'lage'"),
        ("models: [small]\ncache: {similarity: 0.9}", "cache.embedder.*missing"),
        ("models: [small]\nrule: {}", "must have a text"),
        ("models: [small]\npolicy: cheapest", "policy"),
        ("models: {small: {weihgt: 2}}", "weihgt"),
        ("models: [small]\npolicy: first\nfalback: [large]", "falback.*did you mean fallback"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){says}"):
        read(tmp_path, text)


def test_a_route_has_a_name_of_its_own_and_an_alias_may_point_at_it(tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("models: {small: ./a}\nroutes: {small: {models: [small]}}")
    with pytest.raises(ConfigError, match="needs one of its own"):
        load(file, environ={})
    file.write_text("models: {small: ./a}\nroutes: {best: {models: [small]}}\naliases: {gpt-4o: best}")
    assert load(file, environ={}).aliases == {"gpt-4o": "best"}
