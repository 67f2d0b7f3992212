"""A configuration file: what it becomes, and how a wrong one is refused."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from penstock.config.file import load, with_overrides
from penstock.config.schema import Config
from penstock.core.errors import ConfigError


def loaded(folder: Path, text: str, *overrides: Any, environ: dict[str, str] | None = None) -> Config:
    path = folder / "penstock.yaml"
    path.write_text(textwrap.dedent(text))
    return load(path, *overrides, environ=environ or {})


def refused(folder: Path, text: str, **rest: Any) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **rest)
    return caught.value.message.splitlines()


def test_every_kind_of_setting(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """
        models:
          iris: ./iris.onnx
          wine: &base
            source: ./wine
            replicas: 2
            batching: {max_size: 8, max_wait_ms: 5, buckets: [1, 8]}
            options: {providers: [CPUExecutionProvider]}
          other:
            <<: *base
            source: ./other
        aliases: {stable: wine}
        http: {port: 9000, limits: {body: 1000}}
        drain_s: 3
        """,
    )
    assert config.models["iris"].source == "./iris.onnx"
    assert config.models["wine"].batching.buckets == (1, 8)
    assert (config.models["other"].source, config.models["other"].replicas) == ("./other", 2)
    assert config.models["wine"].options == {"providers": ["CPUExecutionProvider"]}
    assert (config.http.port, config.http.limits.body, config.drain_s) == (9000, 1000, 3)
    assert config.aliases == {"stable": "wine"}


def test_an_empty_file_is_a_server_without_models(tmp_path: Path) -> None:
    assert loaded(tmp_path, "# nothing yet\n") == Config()


WRONG = [
    ("batching: {max_sise: 3}", 4, "batching.max_sise", "unknown setting; did you mean max_size?"),
    ("replica: 3", 4, "replica", "unknown setting; did you mean replicas?"),
    ("batching: {policy: dynmic}", 4, "batching.policy", "did you mean dynamic?"),
    ("batching: {policy: 7}", 4, "batching.policy", "must be dynamic, static or none"),
    ("replicas: many", 4, "replicas", "must be a whole number, not the text 'many'"),
    ("replicas: true", 4, "replicas", "must be a whole number, not true"),
    ("replicas: 0", 4, "replicas", "must be between 1 and 256"),
    ("batching: {max_size: 0}", 4, "batching.max_size", "must be at least 1"),
    ("batching: {buckets: [1, x]}", 4, "batching.buckets", "item 2 must be a whole number"),
    ("batching: 3", 4, "batching", "must be a mapping of settings"),
    ("version: 1", 4, "version", "put it in quotes"),
    ("runtime: onx", 4, "runtime", "did you mean onnx?"),
    ("device: gpu", 4, "device", "must be auto, cpu, cuda or cuda:N"),
    ("trust: abc", 4, "trust", "64 hexadecimal digits"),
    ("output: labels", 4, "output", "did you mean label?"),
    ("supervision: {backoff_s: -1}", 4, "supervision.backoff_s", "must be over 0"),
    ("needs: [irs]", 4, "needs", "there is no model 'irs'; did you mean iris?"),
]


@pytest.mark.parametrize(("line", "number", "path", "message"), WRONG)
def test_a_wrong_setting_of_a_model(tmp_path: Path, line: str, number: int, path: str, message: str) -> None:
    lines = refused(tmp_path, f"models:\n  iris:\n    source: ./iris.onnx\n    {line}\n")
    assert len(lines) == 1
    assert lines[0].startswith(f"penstock.yaml, line {number}: models.iris.{path}: ")
    assert message in lines[0]


WRONG_WHOLE = [
    ("modles: {}", 1, "modles", "did you mean models?"),
    ("http:\n  prot: 80", 2, "http.prot", "did you mean port?"),
    ("http:\n  port: 70000", 2, "http.port", "at most 65535"),
    ("http:\n  limits:\n    body: 0", 3, "http.limits.body", "must be over 0"),
    ("drain_s: -1", 1, "drain_s", "at least 0"),
    ("models:\n  iris: a\n  iris: b", 3, "models.iris", "is written twice; first on line 2"),
    ("models:\n  iris: {replicas: 2}", 2, "models.iris.source", "is missing"),
    ("models:\n  no: a", 2, "models", "the key no is not read as text by YAML; put it in quotes"),
    ("models:\n  - iris", 1, "models", "must be a mapping of names to settings, not a list"),
    ("models:\n  'a b': x", 2, "models.a b", "letters, digits"),
    ("models: {iris: a}\naliases:\n  stable: irs", 3, "aliases.stable", "did you mean iris?"),
    ("models: {iris: a}\naliases:\n  iris: iris", 3, "aliases.iris", "is a model's name already"),
    ("models:\n  a: {source: a, needs: [b]}\n  b: {source: b, needs: [a]}", 1, "models", "need each other in a circle"),
]


@pytest.mark.parametrize(("text", "number", "path", "message"), WRONG_WHOLE)
def test_a_wrong_file(tmp_path: Path, text: str, number: int, path: str, message: str) -> None:
    lines = refused(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith(f"penstock.yaml, line {number}: {path}: ")
    assert message in lines[0]


@pytest.mark.parametrize(
    ("text", "number"),
    [("models:\n  iris: [1\n", 3), ("models:\n  iris: a\n\tb: 3\n", 3), ("a: b: c", 1), ("x: *nobody", 1), ("- a", 1)],
)
def test_no_yaml_or_no_settings(tmp_path: Path, text: str, number: int) -> None:
    lines = refused(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith(f"penstock.yaml, line {number}: ")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    lines = refused(tmp_path, "models:\n  iris:\n    source: a\n    replicas: x\nhttp: {prot: 1}\ndrain_s: soon\n")
    assert [line.split(": ")[0] for line in lines] == [f"penstock.yaml, line {n}" for n in (4, 5, 6)]


def test_a_yaml_bomb_is_refused(tmp_path: Path) -> None:
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "more than" in refused(tmp_path, "\n".join(layers))[0]


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "penstock.yaml", environ={})
    (tmp_path / "penstock.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "penstock.yaml", environ={})


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    text = "models:\n  iris: {source: a, replicas: 2, timeout_ms: 7}\nhttp: {port: 1, host: file}\n"
    environ = {"PENSTOCK_HTTP__PORT": "2", "PENSTOCK_MODELS__IRIS__REPLICAS": "3", "PENSTOCK_DRAIN_S": "9"}
    config = loaded(tmp_path, text, {"http.port": 3}, {"replicas": 4, "batching.max_size": 5}, environ=environ)
    assert (config.http.port, config.http.host, config.drain_s) == (3, "file", 9)
    iris = config.models["iris"]
    assert (iris.replicas, iris.batching.max_size, iris.timeout_ms) == (4, 5, 7)


def test_overrides_apply_to_the_short_form(tmp_path: Path) -> None:
    config = loaded(tmp_path, "models: {iris: ./iris.onnx}\n", {}, {"replicas": 4})
    assert (config.models["iris"].source, config.models["iris"].replicas) == ("./iris.onnx", 4)


def test_a_wrong_flag_names_the_command_line() -> None:
    with pytest.raises(ConfigError, match=r"^command line: models\.iris\.replicas: must be between 1 and 256$"):
        with_overrides({"models": {"iris": {"source": "a"}}}, {}, {"replicas": 999}, environ={})


def test_plain_data_is_not_changed() -> None:
    data = {"models": {"iris": {"source": "a"}}}
    assert with_overrides(data, {"http.port": 5}, {"replicas": 2}, environ={}).models["iris"].replicas == 2
    assert data == {"models": {"iris": {"source": "a"}}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("placement: inline", "inline is for penstock.serve in a notebook"),
        ("batching: {policy: none, max_wait_ms: 5}", "has no effect with policy: none"),
    ],
)
def test_settings_that_would_not_be_obeyed(tmp_path: Path, settings: str, message: str) -> None:
    said = refused(tmp_path, f"models:\n  m:\n    source: m.onnx\n    {settings}\n")
    assert message in "\n".join(said)
