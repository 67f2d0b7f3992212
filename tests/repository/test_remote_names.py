"""openai:gpt-5-mini and http://host:8000/v1#model, as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.core.errors import ModelFileError
from penstock.repository.remote_names import PROVIDERS, RemoteName, is_remote, parse
from penstock.repository.sources import name_of, resolve
from penstock.runtimes.remote import choice


@pytest.mark.parametrize(
    ("source", "expected", "name"),
    [
        ("openai:gpt-5-mini", RemoteName("openai", "gpt-5-mini"), "gpt-5-mini"),
        ("openai:ft:gpt-4o:org::abc", RemoteName("openai", "ft:gpt-4o:org::abc"), "ft-gpt-4o-org-abc"),
        ("azure:my-deployment", RemoteName("azure", "my-deployment"), "my-deployment"),
        (
            "bedrock:us.anthropic.claude-sonnet-4-20250514-v1:0",
            RemoteName("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
            "us.anthropic.claude-sonnet-4-20250514-v1-0",
        ),
        (
            "http://127.0.0.1:8000/v1#meta-llama/Llama-3.1-8B",
            RemoteName("compatible", "meta-llama/Llama-3.1-8B", "http://127.0.0.1:8000/v1"),
            "Llama-3.1-8B",
        ),
        (
            "https://gateway.example.com/openai#m",
            RemoteName("compatible", "m", "https://gateway.example.com/openai"),
            "m",
        ),
        ("http://[::1]:11434/v1#qwen3:4b", RemoteName("compatible", "qwen3:4b", "http://[::1]:11434/v1"), "qwen3-4b"),
    ],
)
def test_names(source: str, expected: RemoteName, name: str, tmp_path: Path) -> None:
    assert parse(source) == expected
    assert name_of(source, tmp_path) == name
    spec = resolve(source, base=tmp_path, options={"context": 100})
    assert (spec.name, spec.runtime, spec.platform) == (name, "remote", "penstock_remote")
    assert (spec.options["provider"], spec.options["model"]) == expected[:2]
    assert spec.options["context"] == 100


@pytest.mark.parametrize(
    "source",
    [
        "openai:", "mistral: ", "openai:two words", "openai:a\nb", "http://host/v1", "http://host/v1#", "http://#m",
        "http://host:x/v1#m", "https:///v1#m", "http://host/v1?key=secret#m",
    ],
)  # fmt: skip
def test_what_cannot_be_a_name(source: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError):
        resolve(source, base=tmp_path)


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no password") as refused:
        resolve("https://me:hunter2@host/v1#m", base=tmp_path)
    assert "hunter2" not in refused.value.message


def test_other_sources_are_what_they_were(tmp_path: Path) -> None:
    for source in ("model.onnx", "hf:org/name", "package.module:thing", "openai_models:thing", "s3://bucket/key"):
        assert not is_remote(source)
    (tmp_path / "openai:x").write_text("def predict(a): ...")
    assert resolve("anthropic:claude-haiku-4-5", base=tmp_path).options["provider"] == "anthropic"


def test_every_provider_with_a_name_has_a_dialect() -> None:
    assert {*PROVIDERS, "compatible"} == set(choice.PROVIDERS)
