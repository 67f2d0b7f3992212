"""Bedrock: what is asked for by its own names, and botocore as the judge."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from penstock.core.errors import (
    ConfigError,
    MissingExtra,
    NotAccepted,
    NotOffered,
    PenstockError,
    ProviderFailed,
    ProviderRefused,
    ProviderThrottled,
)
from penstock.core.generation import Call, Generation, Message, Sampling, Tool
from penstock.fakes.aws import event
from penstock.fakes.bedrock import ACCESS, SECRET, FakeBedrock
from penstock.fakes.speech import Said
from penstock.runtimes.remote.bedrock import Bedrock
from penstock.runtimes.remote.bedrock_frames import AwsFrames
from penstock.runtimes.remote.bedrock_signing import AwsSigner
from penstock.runtimes.remote.contract import RemoteModel
from tests.runtimes.remote.speaking import answered, hi, post

botocore = pytest.importorskip("botocore.session")

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
MODEL = RemoteModel(provider="bedrock", model=CLAUDE, region="eu-central-1", max_tokens=2048)
NOVA = RemoteModel(provider="bedrock", model="amazon.nova-lite-v1:0", region="eu-central-1")
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
WEATHER = Tool("weather", "Tells the weather", SCHEMA)
CALL = Call("tooluse_1", "weather", '{"age": 1}')
LONG = Generation(
    messages=(
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Let me see", (CALL,), reasoning="hm"),
        Message("tool", "sun", call_id="tooluse_1"),
        Message("user", "Thanks"),
    ),
    sampling=Sampling(max_tokens=9, temperature=0.5, top_p=0.9, top_k=4, stop=("END",)),
    tools=(WEATHER, Tool("now")),
    tool_choice="=weather",
    format=SCHEMA,
)
HEADERS = {"authorization": "Bearer k"}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No credentials but these, wherever the tests run."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture
def fake() -> Iterator[FakeBedrock]:
    with FakeBedrock(key="k") as found:
        yield found


def body_of(asked: Generation, model: RemoteModel = MODEL) -> Any:
    """What Bedrock is asked."""
    return msgspec.json.decode(Bedrock().generate(asked, model).body)


def at(fake: FakeBedrock, model: RemoteModel = MODEL) -> RemoteModel:
    return msgspec.structs.replace(model, url=fake.url)


def test_a_whole_request() -> None:
    call = Bedrock().generate(LONG, MODEL)
    place = "us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
    assert call.url == f"https://bedrock-runtime.eu-central-1.amazonaws.com/model/{place}/converse-stream"
    assert (call.framing, call.sign) == ("aws", "aws")
    body = body_of(LONG)
    schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"].pop("schema")
    assert msgspec.json.decode(schema) == SCHEMA
    assert body == {
        "system": [{"text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "Hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"text": "Let me see"},
                    {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"age": 1}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "sun"}]}},
                    {"text": "Thanks"},
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "weather",
                        "description": "Tells the weather",
                        "inputSchema": {"json": SCHEMA},
                    }
                },
                {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}},
            ],
            "toolChoice": {"tool": {"name": "weather"}},
        },
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"name": "answer"}}}},
        "additionalModelRequestFields": {"top_k": 4},
    }


@pytest.mark.parametrize("asked", [LONG, hi(), hi(think=True), hi(tools=(WEATHER,), tool_choice="required")])
def test_requests_are_as_botocore_describes_them(asked: Generation) -> None:
    from botocore.validate import validate_parameters

    service = botocore.get_session().get_service_model("bedrock-runtime")
    shape = service.operation_model("ConverseStream").input_shape
    body = body_of(asked)
    validate_parameters({"modelId": CLAUDE, **body}, shape)
    assert set(body) <= set(shape.members)
    counted = body_of(msgspec.structs.replace(asked, count_only=True))
    validate_parameters({"modelId": CLAUDE, **counted}, service.operation_model("CountTokens").input_shape)


def test_models_of_other_makers_have_no_more_settings() -> None:
    assert "additionalModelRequestFields" not in body_of(hi(sampling=Sampling(temperature=0.1)), NOVA)
    for asked in (hi(think=True), hi(sampling=Sampling(top_k=3))):
        with pytest.raises(NotOffered):
            body_of(asked, NOVA)
    assert not Bedrock().counts(NOVA)


def test_tokens_are_counted_by_the_model_itself() -> None:
    call = Bedrock().generate(hi(count_only=True), MODEL)
    assert call.url.endswith("/model/anthropic.claude-haiku-4-5-20251001-v1%3A0/count-tokens")
    assert call.framing == "json"


def test_tools_can_only_be_forbidden_by_leaving_them_out() -> None:
    assert "toolConfig" not in body_of(hi(tools=(WEATHER,), tool_choice="none"))
    with pytest.raises(NotOffered, match="tool_choice"):
        body_of(msgspec.structs.replace(LONG, tool_choice="none"))


def test_json_without_a_schema_is_refused() -> None:
    with pytest.raises(NotOffered, match="schema"):
        body_of(hi(format={}))


def test_embeddings_whose_form_is_not_known() -> None:
    with pytest.raises(ConfigError, match="Titan"):
        Bedrock().settle(
            msgspec.structs.replace(NOVA, model="amazon.nova-2-multimodal-embeddings-v1:0", task="embedding")
        )


# --- the region and the credentials


def test_the_region(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    model = msgspec.structs.replace(MODEL, region="")
    with pytest.raises(ConfigError, match="AWS_REGION"):
        Bedrock().settle(model)
    (tmp_path / "config").write_text("[default]\nregion = ap-south-1\n")
    assert Bedrock().settle(model).region == "ap-south-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert Bedrock().settle(model).region == "us-west-2"
    assert Bedrock().settle(MODEL).region == "eu-central-1"


def test_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-somebody-else")
    with pytest.raises(ConfigError, match="AWS_PROFILE"):
        Bedrock().settle(msgspec.structs.replace(MODEL, region=""))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="AWS"):
        Bedrock().settle(MODEL)


def test_without_its_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("botocore.session", "botocore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"penstock\[bedrock\]"):
        Bedrock().settle(MODEL)


def test_a_signature_with_a_session_token(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    call = Bedrock().generate(LONG, at(fake))
    headers = dict(AwsSigner(at(fake)).headers(call))
    assert post(call, headers)[0] == 200
    assert "x-amz-security-token" in fake.calls[-1].headers["authorization"]


def test_a_wrong_secret(fake: FakeBedrock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    call = Bedrock().generate(hi(), at(fake))
    status, headers, body = post(call, dict(AwsSigner(at(fake)).headers(call)))
    assert isinstance(Bedrock().failure(status, headers, body), ProviderRefused)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"):
        Bedrock().settle(MODEL)
    assert Bedrock().settle(msgspec.structs.replace(MODEL, key="env:X")).region == "eu-central-1"
    with pytest.raises(ProviderRefused, match="AWS_ACCESS_KEY_ID"):
        AwsSigner(MODEL).headers(Bedrock().generate(hi(), MODEL))


def test_no_token_in_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-very-secret-token")
    with caplog.at_level(logging.DEBUG):
        AwsSigner(MODEL).headers(Bedrock().generate(hi(), MODEL))
    assert "a-very-secret-token" not in caplog.text
    assert SECRET not in caplog.text


# --- replies


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("throttlingException", ProviderThrottled),
        ("validationException", NotAccepted),
        ("modelStreamErrorException", ProviderFailed),
        ("internalServerException", ProviderFailed),
        ("serviceUnavailableException", ProviderFailed),
    ],
)
def test_errors_inside_a_stream(fake: FakeBedrock, name: str, error: type[PenstockError]) -> None:
    fake.breaks = name
    found = answered(Bedrock(), at(fake), hi(), HEADERS)
    assert found.text == "You"
    assert type(found.error) is error


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (400, "ServiceQuotaExceededException", ProviderThrottled),
        (403, "ExpiredTokenException", ProviderRefused),
        (400, "UnrecognizedClientException", ProviderRefused),
        (429, "ModelNotReadyException", ProviderThrottled),
        (408, "ModelTimeoutException", ProviderFailed),
        (424, "ModelErrorException", ProviderFailed),
        (404, "ResourceNotFoundException", ProviderRefused),
    ],
)
def test_errors_before_a_stream(status: int, name: str, error: type[PenstockError]) -> None:
    found = Bedrock().failure(status, {"X-Amzn-ErrorType": f"{name}:http://x/"}, b'{"Message":"no"}')
    assert type(found) is error


def test_what_a_guardrail_says_is_the_answer(fake: FakeBedrock) -> None:
    fake.said = Said("I may not say.", finish="guardrail_intervened")
    found = answered(Bedrock(), at(fake), hi(), HEADERS)
    assert (found.text, found.stopped[0].reason) == ("I may not say.", "stop")


def test_a_frame_that_was_changed_on_the_way() -> None:
    whole = bytearray(event("messageStart", b'{"role":"assistant"}'))
    whole[-6] ^= 1
    with pytest.raises(ProviderFailed, match="event stream"):
        AwsFrames().feed(bytes(whole))


def test_lengths_that_lie() -> None:
    for lie in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"):
        whole = lie + event("messageStart", b"{}")[4:]
        with pytest.raises(ProviderFailed):
            AwsFrames().feed(whole)


# --- botocore itself reads what the fake sends


@pytest.fixture
def library(fake: FakeBedrock) -> Iterator[Any]:
    client = botocore.get_session().create_client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=fake.url,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
    )
    yield client
    client.close()


def test_botocore_reads_the_same_as_we_do(fake: FakeBedrock, library: Any) -> None:
    fake.said = Said("All is well.", reasoning="Let me see", cached_tokens=1)
    texts, thoughts, usage = "", "", {}
    with closing(library.converse_stream(modelId=CLAUDE, **body_of(hi()))["stream"]) as stream:
        for told in stream:
            delta = told.get("contentBlockDelta", {}).get("delta", {})
            texts += delta.get("text", "")
            thoughts += delta.get("reasoningContent", {}).get("text", "")
            usage |= told.get("metadata", {}).get("usage", {})
    found = answered(Bedrock(), at(fake), hi(), HEADERS)
    assert (texts, thoughts) == (found.text, found.thoughts) == ("All is well.", "Let me see")
    assert found.usage is not None
    assert usage["inputTokens"] + usage["cacheReadInputTokens"] == found.usage.prompt_tokens
    assert usage["outputTokens"] == found.usage.completion_tokens


def test_botocore_reads_calls_and_counts(fake: FakeBedrock, library: Any) -> None:
    fake.said = Said(calls=(("weather", '{"age": 3}'),))
    whole = library.converse(modelId=CLAUDE, **body_of(hi(tools=(WEATHER,))))
    found = answered(Bedrock(), at(fake), hi(tools=(WEATHER,)), HEADERS)
    (block,) = whole["output"]["message"]["content"]
    assert block["toolUse"]["input"] == msgspec.json.decode(found.calls[0].arguments)
    assert block["toolUse"]["toolUseId"] == found.calls[0].id
    counted = library.count_tokens(modelId=CLAUDE, **body_of(hi(count_only=True)))
    assert counted["inputTokens"] == 3


def test_botocore_is_told_of_errors(fake: FakeBedrock, library: Any) -> None:
    from botocore.exceptions import EventStreamError

    with pytest.raises(library.exceptions.ValidationException, match="start with a user"):
        library.converse(modelId=CLAUDE, messages=[{"role": "assistant", "content": [{"text": "x"}]}])
    fake.breaks = "throttlingException"
    with (
        closing(library.converse_stream(modelId=CLAUDE, **body_of(hi()))["stream"]) as stream,
        pytest.raises(EventStreamError, match="it broke"),
    ):
        list(stream)
