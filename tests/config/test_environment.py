"""Settings from environment variables."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.config.file import with_overrides
from penstock.config.schema import Config
from penstock.core.errors import ConfigError

MODELS: dict[str, Any] = {"models": {"iris-small": {"source": "a"}}}


def given(**environ: str) -> Config:
    return with_overrides(MODELS, environ=environ)


def refused(**environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        given(**environ)
    return caught.value.message


def test_values_become_the_settings_types() -> None:
    config = given(
        PENSTOCK_HTTP__ACCESS_LOG="true",
        PENSTOCK_HTTP__ALLOWED_HOSTS="a.example, b.example",
        PENSTOCK_HTTP__LIMITS__BODY="1000",
        PENSTOCK_LOG__LEVEL="debug",
        PENSTOCK_MODELS__IRIS_SMALL__BATCHING__BUCKETS="1,4,64",
        PENSTOCK_MODELS__IRIS_SMALL__BATCHING__MAX_WAIT_MS="2.5",
        PENSTOCK_MODELS__IRIS_SMALL__THREADS="null",
        PENSTOCK_MODELS__IRIS_SMALL__VERSION="7",
        PENSTOCK_MODELS__IRIS_SMALL__TRUST="sha256:" + "a" * 64,
        PENSTOCK_MODELS__IRIS_SMALL__OPTIONS__DEPTH="3",
        PENSTOCK_ALIASES__STABLE="iris-small",
    )
    assert config.http.access_log is True
    assert config.http.allowed_hosts == ("a.example", "b.example")
    assert (config.http.limits.body, config.log.level) == (1000, "debug")
    model = config.models["iris-small"]
    assert (model.batching.buckets, model.batching.max_wait_ms) == ((1, 4, 64), 2.5)
    assert (model.threads, model.version, model.options) == (None, "7", {"depth": 3})
    assert model.trust == "sha256:" + "a" * 64
    assert config.aliases == {"stable": "iris-small"}


def test_port_is_honoured_below_our_own_variable() -> None:
    assert given(PORT="9001").http.port == 9001
    assert given(PORT="9001", PENSTOCK_HTTP__PORT="9002").http.port == 9002


def test_a_model_that_only_the_environment_knows() -> None:
    config = given(PENSTOCK_MODELS__WINE__SOURCE="./wine", PENSTOCK_MODELS__WINE__REPLICAS="2")
    assert (config.models["wine"].source, config.models["wine"].replicas) == ("./wine", 2)
    assert given(PENSTOCK_MODELS__WINE="./wine").models["wine"].source == "./wine"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PENSTOCK_HTTP__PROT", "1", "did you mean PENSTOCK_HTTP__PORT?"),
        ("PENSTOCK_PORT", "1", "did you mean PENSTOCK_HTTP__PORT?"),
        ("PENSTOCK_HTTP", "1", "such as PENSTOCK_HTTP__HOST"),
        ("PENSTOCK_DRAIN_S__X", "1", "did you mean PENSTOCK_DRAIN_S?"),
        ("PENSTOCK_MODELS__IRIS_SMAL__REPLICAS", "2", "there is no model iris_smal; did you mean iris-small?"),
        ("PENSTOCK_MODELS__IRIS_SMALL__REPLICA", "2", "did you mean PENSTOCK_MODELS__IRIS_SMALL__REPLICAS?"),
        ("PENSTOCK_HTTP__PORT", "80x", "http.port: must be a whole number"),
        ("PORT", "80x", "environment variable PORT: http.port: must be a whole number"),
        ("PENSTOCK_LOG__LEVEL", "loud", "must be debug, info, warning or error"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(name: str, value: str, message: str) -> None:
    said = refused(**{name: value})
    assert said.startswith(f"environment variable {name}: ")
    assert message in said


def test_what_is_not_ours_is_left_alone() -> None:
    config = given(
        PENSTOCK_HOME="somewhere",
        PENSTOCK_PORT="tcp://10.0.0.1:8000",
        PENSTOCK_PORT_8000_TCP_ADDR="10.0.0.1",
        PENSTOCK_SERVICE_HOST="10.0.0.1",
        PENSTOCK_SERVICE_PORT_HTTP="8000",
        PENSTOCKER="x",
        PORT="",
    )
    assert config.http.port == Config().http.port
