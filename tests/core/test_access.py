"""Which key a process shows to which server."""

from __future__ import annotations

import pytest

from penstock.client import Client
from penstock.core.access import authorization, key_for, masked
from penstock.core.errors import ConfigError


def test_the_environments_key_is_for_its_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_KEY", " pst-k\n")
    monkeypatch.delenv("PENSTOCK_URL", raising=False)
    assert key_for("http://a:1") == "pst-k"
    monkeypatch.setenv("PENSTOCK_URL", "http://a:1/")
    assert key_for("http://a:1") == "pst-k"
    assert key_for("http://b:1") == ""


def test_a_client_shows_its_own_key_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_API_KEY", "pst-k")
    monkeypatch.setenv("PENSTOCK_URL", "http://a:1/")
    assert Client()._own == {"Authorization": "Bearer pst-k"}
    assert Client("http://b:1")._own == {}
    assert Client("http://b:1", key="pst-o")._own == {"Authorization": "Bearer pst-o"}
    assert "pst-o" not in repr(Client("http://b:1", key="pst-o"))
    assert Client(key="")._own == {}


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "k\u00e9y", "a\0"])
def test_what_would_change_the_headers_is_no_key(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        authorization(key)
    assert key not in str(refused.value)


def test_secrets_are_masked_wherever_they_are() -> None:
    key = "pst-abcdefgh2345-" + "aB3_-" * 8 + "xyz"
    assert masked(f"GET /{key}/models {key}") == "GET /pst-abcdefgh2345-***/models pst-abcdefgh2345-***"
    assert masked("pst-abcdefgh2345 and pst-short-key") == "pst-abcdefgh2345 and pst-short-key"


@pytest.mark.parametrize("left", [1, 2, 5, 6, 20, 42, 43])
def test_no_part_of_a_secret_is_left_of_a_key_that_was_cut(left: int) -> None:
    cut = "pst-abcdefgh2345-" + ("aB3_-" * 8 + "xyz")[:left]
    assert masked(f"GET /{cut}") == "GET /pst-abcdefgh2345-***"
    assert masked(masked(f"({cut})")) == "(pst-abcdefgh2345-***)"
