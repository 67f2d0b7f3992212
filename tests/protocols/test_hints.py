"""Wishes of callers: headers that a request may carry."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import BadInput
from penstock.core.request import Hints
from penstock.protocols.hints import hints_of
from tests.protocols.doors import Doors, body

ROWS = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        ({}, None),
        ({"cache-control": "no-transform, foo=1"}, None),
        ({"x-penstock-budget": "standard"}, Hints(budget="standard")),
        ({"x-penstock-budget": " Premium "}, Hints(budget="premium")),
        ({"x-penstock-budget": "0.0015"}, Hints(budget=0.0015)),
        ({"x-penstock-budget": "1e-6"}, Hints(budget=1e-6)),
        ({"x-penstock-budget": "0"}, Hints(budget=0.0)),
        ({"x-penstock-quality": "1"}, Hints(quality=1.0)),
        ({"x-penstock-quality": ".5"}, Hints(quality=0.5)),
        ({"x-penstock-max-latency": "2"}, Hints(max_latency_s=2.0)),
        ({"x-penstock-max-latency": "2.5s"}, Hints(max_latency_s=2.5)),
        ({"x-penstock-max-latency": "800ms"}, Hints(max_latency_s=0.8)),
        ({"x-penstock-session": "user-7/chat#3"}, Hints(session="user-7/chat#3")),
        ({"x-penstock-pin": "premium@2"}, Hints(pin="premium@2")),
        ({"cache-control": "no-cache"}, Hints(no_cache=True)),
        ({"cache-control": "No-Store , no-cache"}, Hints(no_cache=True, no_store=True)),
        ({"cache-control": "max-age=60, only-if-cached"}, Hints(max_age_s=60.0, cached_only=True)),
        ({"cache-control": "max-age=60, max-age=0"}, Hints(max_age_s=0.0)),
        ({"cache-control": 'max-age="5"'}, Hints(max_age_s=5.0)),
    ],
)
def test_what_is_read(headers: dict[str, str], hints: Hints | None) -> None:
    assert hints_of({name.encode(): value.encode() for name, value in headers.items()}) == hints


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-Penstock-Budget", ["", "cheap", "-1", "nan", "inf", "1e999", "0x10", "1_000", "1,5", "1 2", "٣"]),
        ("X-Penstock-Quality", ["", "1.01", "-0.1", "NaN", "best", "1e1"]),
        ("X-Penstock-Max-Latency", ["", "0", "0ms", "-1", "soon", "1m", "ms", "s", "inf", "1e99999"]),
        ("X-Penstock-Session", ["", "a b", "a\tb", "é", "x" * 257, "a\x00"]),
        ("X-Penstock-Pin", ["", "a b", "x" * 257]),
        ("Cache-Control", ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=x", "max-age=99999999999"]),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(BadInput, match=name):
            hints_of({name.lower().encode(): value.encode()})


@pytest.mark.parametrize("path", ["/models/iris/predict", "/v2/models/iris/infer"])
def test_requests_carry_them(path: str) -> None:
    tensors = {"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
    content = ROWS if path.endswith("predict") else json.dumps(tensors).encode()
    server = Doors()
    assert server.ask("POST", path, content, x_penstock_budget="0.5", cache_control="no-store").status == 200
    [request] = server.echo.requests
    assert request.hints == Hints(budget=0.5, no_store=True)
    refused = server.ask("POST", path, content, x_penstock_quality="2")
    assert refused.status == 400
    assert b"X-Penstock-Quality" in body(refused)
    assert len(server.echo.requests) == 1


NAMES = [b"x-penstock-budget", b"x-penstock-quality", b"x-penstock-max-latency", b"x-penstock-session"]
ALL = [*NAMES, b"x-penstock-pin", b"cache-control"]
ODD = st.text('0123456789.eE+-, ="masxnocherdify\x00\xe9').map(lambda text: text.encode("latin-1"))


@given(st.dictionaries(st.sampled_from(ALL), st.binary(max_size=40) | ODD))
def test_whatever_is_sent_is_read_or_refused(headers: dict[bytes, bytes]) -> None:
    hints, refusal = None, ""
    try:
        hints = hints_of(headers)
    except BadInput as error:
        refusal = error.message.lower()
    assert not refusal or any(name.decode() in refusal for name in headers)
    if hints is None:
        return
    assert hints.quality is None or 0 <= hints.quality <= 1
    assert hints.max_latency_s is None or 0 < hints.max_latency_s < math.inf
    assert hints.max_age_s is None or 0 <= hints.max_age_s < math.inf
    assert hints.budget in (None, "standard", "premium") or 0 <= float(hints.budget or 0) < math.inf
    assert all(text.isprintable() and " " not in text for text in (hints.session, hints.pin))
