"""What replies mean that are no answers, and tool calls that come in pieces."""

from __future__ import annotations

import pytest

from penstock.core.errors import (
    ContentFiltered,
    ContextExceeded,
    NotAccepted,
    NotOffered,
    PenstockError,
    ProviderFailed,
    ProviderRefused,
    ProviderThrottled,
)
from penstock.core.generation import CallArguments, CallStarted
from penstock.runtimes.remote.calls import BrokenCall, Calls, plain_id, safe_id
from penstock.runtimes.remote.failures import LONGEST, failed, retry_after_s, shown

DATE = {"Date": "Sat, 21 Nov 2026 21:00:00 GMT", "Retry-After": "Sat, 21 Nov 2026 21:01:30 GMT"}


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (400, NotAccepted, False),
        (401, ProviderRefused, False),
        (402, ProviderRefused, False),
        (403, ProviderRefused, False),
        (404, ProviderRefused, False),
        (408, ProviderFailed, True),
        (413, NotAccepted, False),
        (422, NotAccepted, False),
        (429, ProviderThrottled, True),
        (500, ProviderFailed, True),
        (503, ProviderFailed, True),
        (529, ProviderFailed, True),
    ],
)
def test_statuses(status: int, kind: type[PenstockError], again: bool) -> None:
    error = failed("x", status, {}, "some words")
    assert type(error) is kind
    assert error.may_retry is again


@pytest.mark.parametrize(
    "words",
    [
        "`temperature` is deprecated for this model.",
        "temperature: Extra inputs are not permitted",
        '"thinking.type.disabled" is not supported for this model.',
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "This model doesn't support tool use.",
        "`top_p` may only be set to 1 for this model",
    ],
)
def test_what_another_model_may_take(words: str) -> None:
    assert type(failed("x", 400, {}, words)) is NotOffered


@pytest.mark.parametrize("words", ["messages: at least one message is required", "temperature: range: 0..1"])
def test_what_one_provider_does_not_take(words: str) -> None:
    assert type(failed("x", 400, {}, words)) is NotAccepted


@pytest.mark.parametrize(
    "words",
    [
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade.",
        "Billing hard limit has been reached",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        "This organization has been disabled.",
        "Insufficient balance",
        "User location is not supported for the API use.",
    ],
)
def test_an_account_that_is_not_served(words: str) -> None:
    error = failed("x", 400, {}, words)
    assert type(error) is ProviderRefused
    assert words not in error.message


def test_words_of_the_request_are_none_of_the_account() -> None:
    assert type(failed("x", 400, {}, "Invalid value: 'Billing hard limit has been reached'")) is NotAccepted


@pytest.mark.parametrize(
    "words",
    [
        "This is a chat model and not supported in the v1/completions endpoint. Did you mean v1/chat/completions?",
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        "No endpoints found that support tool use.",
    ],
)
def test_a_model_that_is_there_but_not_for_this(words: str) -> None:
    assert type(failed("x", 404, {}, words)) is NotOffered
    assert type(failed("x", 404, {}, "The model `x` does not exist")) is ProviderRefused


def test_a_question_that_was_flagged_is_no_wrong_key() -> None:
    error = failed("x", 403, {}, "This model requires moderation and your input was flagged for violence")
    assert type(error) is ContentFiltered


def test_too_long_comes_before_the_rest() -> None:
    assert type(failed("x", 413, {}, "prompt is too long: 3 tokens > 2 maximum")) is ContextExceeded


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e30"}, 86_400.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        (DATE, 90.0),
        ({"Retry-After": DATE["Retry-After"]}, None),
        ({**DATE, "Date": "yesterday GMT"}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    "words",
    [
        "Incorrect API key provided: sk-proj-abcdef123456",
        "the key sk-ant-api03-xyz_ABC-987 is wrong",
        "API key AIzaSyA1234567890abcdefg not valid",
        "credential=AKIAIOSFODNN7EXAMPLE/20260101 is unknown",
        "Authorization: Bearer abcdefghijklmnop",
        "api_key: 'abcdefghijklmnop'",
    ],
)
def test_what_looks_like_a_key_is_hidden(words: str) -> None:
    found = shown(words)
    assert "[hidden]" in found
    for secret in ("abcdef", "xyz_ABC", "SyA123", "IOSFODNN"):
        assert secret not in found


def test_words_are_bounded_and_on_one_line() -> None:
    found = shown("a\r\nb " + "c" * 100_000)
    assert found.startswith("a b ccc")
    assert len(found) <= LONGEST + 3


# --- tool calls


def test_a_call_is_told_when_it_is_whole() -> None:
    calls = Calls()
    calls.begin(1, "a", "weather")
    calls.more(1, '{"city":')
    assert calls.finish(1) == []
    calls.more(1, ' "Oslo"}')
    assert calls.finish(1) == [CallStarted(0, 0, "a", "weather"), CallArguments(0, 0, '{"city": "Oslo"}')]
    assert calls.finish(1) == []
    assert calls.end(cut=False) == []


def test_one_without_arguments_waits_for_what_follows() -> None:
    calls = Calls()
    calls.begin(1, "a", "now")
    assert calls.finish(1) == []
    calls.begin(2, "b", "weather")
    calls.more(2, "{}")
    assert [event.call for event in calls.finish(2)] == [0, 0, 1, 1]


def test_one_without_arguments_at_the_end() -> None:
    for cut, told in ((False, 1), (True, 0)):
        calls = Calls()
        calls.begin(1, "a", "now")
        calls.finish(1)
        calls.end(cut=cut)
        assert calls.told == told


def test_one_that_is_broken() -> None:
    calls = Calls()
    calls.begin(1, "a", "weather")
    calls.more(1, "[1]")
    assert calls.end(cut=True) == []
    with pytest.raises(BrokenCall):
        calls.end(cut=False)
    with pytest.raises(BrokenCall):
        calls.more(7, "{}")


def test_ids() -> None:
    assert plain_id("call_1") == "call_1"
    assert plain_id("call_1-sig-abc") == "call_1"
    assert plain_id("functions.now:0") == "functions.now:0"
    assert safe_id("functions.now:0") == "functions_now_0"
    assert plain_id("x" * 41) == plain_id("x" * 41) != plain_id("x" * 42)
    assert len(plain_id("x" * 41)) <= 40
