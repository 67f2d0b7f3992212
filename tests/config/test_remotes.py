"""Providers' models in the configuration: options, and keys that are there, told before anything is served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.config import remotes
from penstock.config.models import check, spec_of
from penstock.config.schema import ModelSettings
from penstock.core.errors import ConfigError
from penstock.routing.settings import CacheSettings
from penstock.runtimes.remote.choice import PROVIDERS, dialect
from penstock.runtimes.remote.contract import RemoteModel
from penstock.scheduling.batching.policy import BatchingSettings

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROVIDERS:
        for variable in dialect(name).variables:
            monkeypatch.delenv(variable, raising=False)
    for variable in ("AZURE_OPENAI_ENDPOINT", "OPENAI_API_VERSION", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)


def model_of(source: str = "openai:gpt-5-mini", base: Path = Path(), **settings: Any) -> RemoteModel:
    spec = spec_of("m", ModelSettings(source=source, **settings), base)
    check("m", ModelSettings(source=source, **settings), base)
    assert (spec.name, spec.runtime, spec.platform) == ("m", "remote", "penstock_remote")
    return msgspec.convert(spec.options, RemoteModel)


def refusal(source: str = "openai:gpt-5-mini", base: Path = Path(), **settings: Any) -> str:
    with pytest.raises(ConfigError) as refused:
        spec_of("m", ModelSettings(source=source, **settings), base)
    assert KEY not in refused.value.message
    return refused.value.message


def test_what_a_deployment_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = model_of(options={"idle_timeout_ms": 100, "extra": {"service_tier": "flex"}})
    assert (model.provider, model.model, model.idle_timeout_ms) == ("openai", "gpt-5-mini", 100)
    assert KEY not in str(model)


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("openai:m", "OPENAI_API_KEY"),
        ("anthropic:m", "ANTHROPIC_API_KEY"),
        ("gemini:m", "GEMINI_API_KEY"),
        ("cohere:m", "CO"),
        ("mistral:m", "MISTRAL_API_KEY"),
        ("azure:m", "AZURE_OPENAI_API_KEY"),
    ],
)
def test_a_missing_key_is_told_with_its_variable(source: str, variable: str) -> None:
    options = {"url": "https://x.example"} if source.startswith("azure") else {}
    says = refusal(source, options=options)
    assert "m needs a key for" in says
    assert variable in says


def test_a_url_of_ones_own_needs_no_key() -> None:
    assert model_of("http://127.0.0.1:8000/v1#m").url == "http://127.0.0.1:8000/v1"


def test_a_key_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "NO_SUCH_KEY is not set" in refusal(options={"key": "env:NO_SUCH_KEY"})
    monkeypatch.setenv("MINE", KEY)
    assert model_of(options={"key": "env:MINE"}).key == "env:MINE"


def test_a_key_in_a_file_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "keys.env").write_text(f"OPENAI={KEY}\n")
    model = model_of(base=tmp_path, options={"key": "file:keys.env#OPENAI"})
    assert model.key == f"file:{tmp_path / 'keys.env'}#OPENAI"
    assert "cannot be read" in refusal(base=tmp_path, options={"key": "file:none"})


@pytest.mark.parametrize("key", [KEY, "", 5, ["env:X"]])
def test_a_key_written_into_the_settings_is_refused(key: Any) -> None:
    says = refusal(options={"key": key})
    assert "env:NAME" in says or "needs a key" in says


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"idle_timeout": 5}, "no option 'idle_timeout'; did you mean 'idle_timeout_ms'?"),
        ({"temperature": 5}, "no option 'temperature'"),
        ({"max_concurrency": 0}, "max_concurrency takes 1 to 100,000, not 0"),
        ({"context": "long"}, "Expected `int`, got `str` - at `$.context`"),
        ({"url": "ftp://x"}, "url takes an address"),
        ({"url": "https://me:pw@host/v1"}, "url holds no password"),
        ({"headers": {"Authorization": f"Bearer {KEY}"}}, "carries a secret"),
        ({"headers": {"x-api-key": KEY}}, "carries a secret"),
        ({"headers": {"x team": "a"}}, "cannot be sent"),
        ({"headers": {"x-team": "env:NO_SUCH_VARIABLE"}}, "NO_SUCH_VARIABLE is not set"),
        ({"extra": {"stream": False}}, "options: {stream: false}"),
        ({"extra": {"messages": []}}, "extra: messages"),
    ],
)
def test_options_that_are_wrong(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert says in refusal(options=options)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"precision": "int8"}, "precision is for models that run here"),
        ({"device": "cuda"}, "device is for models that run here"),
        ({"runtime": "onnx"}, "runtime is for models that run here"),
        ({"threads": 2}, "threads is for models that run here"),
        ({"replicas": 2}, "max_concurrency"),
        ({"batching": BatchingSettings(max_size=4)}, "batching is for models that run here"),
        ({"timeout_ms": 5}, "timeout_ms of m belongs to its options: {timeout_ms: ...}"),
        ({"queue_size": 5}, "queue_size of m belongs to its options"),
        ({"cache": CacheSettings()}, "a route's cache keeps answers"),
    ],
)
def test_settings_of_models_that_run_here(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], says: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert says in refusal(**settings)


def test_embeddings_may_be_kept_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert model_of("openai:e", options={"task": "embedding"}, cache=CacheSettings()).task == "embedding"


def test_a_key_over_http_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(remotes.log, "warning", lambda event, **_: told.append(event))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for url in ("http://127.0.0.1:8000/v1", "https://far.example/v1", "http://far.example/v1"):
        told.clear()
        model_of(options={"url": url})
    assert told
