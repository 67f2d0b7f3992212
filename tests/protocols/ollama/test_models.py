"""/api/tags, show, ps, version, pull and embed: what is served, as Ollama's clients see it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import ModelFileError, SetupError
from penstock.core.model import ModelSpec, State
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor
from penstock.core.text import EMBEDDING, TOKENS
from penstock.protocols.ollama.described import Pulled, capabilities, size_name
from penstock.protocols.ollama.embedding import OllamaEmbedding
from penstock.protocols.ollama.models import OllamaModels
from penstock.telemetry import logs
from tests.protocols.scripted import CONTEXT, TEMPLATE, Live, View, live, llm
from tests.servers import eventually

TEXTS = Signature(
    (TensorSpec("text", "BYTES", (-1,)), TensorSpec("truncate", "BOOL", (-1,), optional=True)),
    (TensorSpec(EMBEDDING, "FP32", (-1, 4)), TensorSpec(TOKENS, "INT32", (-1,))),
    task="embedding",
    max_tokens=128,
)
IRIS = Signature((TensorSpec("X", "FP32", (-1, 4)),))


async def embedder(request: Request) -> Reply:
    """Every text's embedding begins with its length in bytes."""
    texts = request.payload["text"].array  # type: ignore[index,call-overload]
    vectors = np.zeros((len(texts), 4), np.float32)
    vectors[:, 0] = [len(text) for text in texts]
    reply = Reply(Meta(request.model, "1"))
    counts = Tensor("INT32", np.full(len(texts), 3, np.int32))
    reply.settle({EMBEDDING: Tensor("FP32", vectors), TOKENS: counts})
    return reply


class Shelf:
    """Fetches some models, and not others."""

    given_up = 0

    async def pull(self, name: str) -> AsyncIterator[dict[str, Any]]:
        if name == "endless":
            try:
                yield {"status": "looking it up"}
                await asyncio.sleep(60)
            finally:
                Shelf.given_up += 1
        if name == "absent":
            raise ModelFileError("the hub has no model absent")
        yield {"status": "looking it up"}
        yield {"status": "downloading", "total": 10, "completed": 4}
        await asyncio.sleep(0.01)
        if name == "broken":
            raise ModelFileError("the hub hung up")
        yield {"status": "success"}


def pulled() -> list[Pulled]:
    return [Pulled("tiny"), Pulled("phi", 5, "2026-01-01T00:00:00Z", "gguf", "phi3", 3_800_000_000, "Q4_K_M")]


def damaged() -> list[Pulled]:
    raise SetupError("the list of pulled models is damaged")


VIEWS = (
    llm(),
    View(ModelSpec(name="embedder", runtime="text", path="e", options={"normalize": True}), TEXTS),
    View(ModelSpec(name="iris", runtime="onnx", path="i"), IRIS),
    View(llm("away").spec, None, State.LOADING),
)


@pytest.fixture(scope="module")
def served() -> Iterator[Live]:
    def mount(routes: Any, models: Any) -> None:
        OllamaModels(embedder, models, "9.9", pulled, Shelf()).mount(routes)
        OllamaEmbedding(embedder, models, system_clock).mount(routes)

    with live(mount, *VIEWS) as doors:
        yield doors


def test_version(served: Live) -> None:
    assert served.json("/api/version") == {"version": "9.9"}


def test_tags_are_what_is_served_and_what_was_pulled(served: Live) -> None:
    models = {model["name"]: model for model in served.json("/api/tags")["models"]}
    assert list(models) == ["tiny", "embedder", "away", "phi"]
    tiny = models["tiny"]
    assert tiny["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "2.1M",
        "quantization_level": "F16",
    }
    assert tiny["size"] == 4_200_000
    assert models["phi"]["details"]["parameter_size"] == "3.8B"
    for model in models.values():
        assert model["model"] == model["name"]
        assert len(model["digest"]) == 64
        assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None


def test_ps_is_what_is_loaded(served: Live) -> None:
    models = {model["name"]: model for model in served.json("/api/ps")["models"]}
    assert list(models) == ["tiny", "embedder"]
    assert models["tiny"]["context_length"] == CONTEXT
    assert models["tiny"]["size"] > 4_200_000
    assert models["tiny"]["size_vram"] == 0


@pytest.mark.parametrize("body", [{"model": "tiny"}, {"name": "tiny:latest", "verbose": True}])
def test_show(served: Live, body: dict[str, Any]) -> None:
    shown = served.json("/api/show", body)
    assert shown["template"] == TEMPLATE
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    assert shown["parameters"].split() == ["temperature", "0.7"]
    info = shown["model_info"]
    assert info["general.architecture"] == "llama"
    assert info["llama.context_length"] == 512
    assert info["penstock.context_length"] == CONTEXT
    assert shown["details"]["quantization_level"] == "F16"


def test_a_model_without_marks_can_only_complete() -> None:
    assert capabilities(llm(chat_template="{{ messages }}")) == ["completion"]
    assert capabilities(llm()) == ["completion", "tools", "thinking"]


def test_show_of_an_embedder_and_of_nothing(served: Live) -> None:
    assert served.json("/api/show", {"model": "embedder"})["capabilities"] == ["embedding"]
    assert served.refusal("/api/show", {"model": "huge"})[0] == 404
    status, told = served.refusal("/api/show", {})
    assert (status, "model is missing" in told["error"]) == (400, True)


def test_a_model_that_was_pulled_and_is_not_served(
    served: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    entry = {"name": "phi", "source": "hf:org/phi", "path": "phi", "size": 1, "digest": "", "modified": ""}
    (tmp_path / "library.json").write_text(json.dumps({"models": {"phi": entry}}))
    status, told = served.refusal("/api/show", {"model": "phi:latest"})
    assert (status, "penstock serve phi" in told["error"]) == (404, True)
    (tmp_path / "library.json").write_text("{")
    assert served.refusal("/api/show", {"model": "phi"})[0] == 404


def test_pull_reports_as_it_goes(served: Live) -> None:
    status, headers, raw = served.ask("POST", "/api/pull", {"model": "new"})
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    assert [json.loads(line)["status"] for line in raw.splitlines()] == ["looking it up", "downloading", "success"]
    assert served.json("/api/pull", {"model": "new", "stream": False}) == {"status": "success"}


def test_a_pull_that_fails(served: Live) -> None:
    for body in ({"model": "absent"}, {"model": "absent", "stream": False}, {"model": "broken", "stream": False}):
        assert served.refusal("/api/pull", body)[0] == 400
    _, _, raw = served.ask("POST", "/api/pull", {"model": "broken"})
    last = json.loads(raw.splitlines()[-1])
    assert (last["error"], "status" in last) == ("the hub hung up", False)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_gives_the_pull_up(served: Live, streamed: bool) -> None:
    before, body = Shelf.given_up, json.dumps({"model": "endless", "stream": streamed}).encode()
    with socket.create_connection(("127.0.0.1", served.port), 10) as client:
        client.sendall(b"POST /api/pull HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if streamed:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        else:
            time.sleep(0.2)
    eventually(lambda: Shelf.given_up > before, "the download goes on", 2)


GO_SHOW = b'{"model":"tiny","system":"","template":"","verbose":false,"options":null,"name":""}'
GO_PULL = b'{"model":"tiny","username":"","password":"","name":""}'
"""What Ollama's client in Go sends: fields that are empty are not left out."""


def test_clients_in_go_show_and_pull(served: Live) -> None:
    status, _, raw = served.ask("POST", "/api/show", GO_SHOW)
    assert (status, json.loads(raw)["details"]["family"]) == (200, "llama"), raw
    status, _, raw = served.ask("POST", "/api/pull", GO_PULL)
    assert (status, json.loads(raw.splitlines()[-1])) == (200, {"status": "success"}), raw


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/api/show", "system", "Be brief."),
        ("/api/show", "template", "{{ .Prompt }}"),
        ("/api/show", "options", {"num_ctx": 9}),
        ("/api/pull", "username", "somebody"),
        ("/api/pull", "password", "secret"),
    ],
)
def test_what_changes_nothing_by_a_name_is_refused(served: Live, path: str, field: str, value: Any) -> None:
    status, told = served.refusal(path, {"model": "tiny", field: value})
    assert status == 400
    assert told["error"].startswith(f"{field} is not offered")
    assert str(value) not in told["error"]


def test_without_a_puller_nobody_pulls() -> None:
    def mount(routes: Any, models: Any) -> None:
        OllamaModels(embedder, models, "9.9", damaged).mount(routes)

    with live(mount, *VIEWS) as doors:
        status, told = doors.refusal("/api/pull", {"model": "new"})
        assert (status, "penstock pull" in told["error"]) == (403, True)
        assert [model["name"] for model in doors.json("/api/tags")["models"]] == ["tiny", "embedder", "away"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/create"), ("DELETE", "/api/delete"), ("POST", "/api/push")]
)
def test_what_only_ollama_does_is_named(
    served: Live, method: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("info", "json")
    status, _, raw = served.ask(method, path, {"model": "tiny"})
    assert (status, path in json.loads(raw)["error"]) == (501, True)
    logged = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (logged["event"], logged["level"], logged["status"]) == ("request_failed", "info", 501)


def test_embed(served: Live) -> None:
    answer = served.json("/api/embed", {"model": "embedder:latest", "input": ["a", "bbb"], "keep_alive": "5m"})
    assert answer["embeddings"] == [[1, 0, 0, 0], [3, 0, 0, 0]]
    assert (answer["model"], answer["prompt_eval_count"]) == ("embedder:latest", 6)
    assert answer["total_duration"] > 0
    short = served.json("/api/embed", {"model": "embedder", "input": "bb", "dimensions": 2})
    assert short["embeddings"] == [[1, 0]]
    assert served.json("/api/embeddings", {"model": "embedder", "prompt": "bb"}) == {"embedding": [2, 0, 0, 0]}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/api/embed", {"model": "embedder", "input": ""}, "input is empty"),
        ("/api/embed", {"model": "embedder", "input": []}, "input is empty"),
        ("/api/embed", {"model": "tiny", "input": "a"}, "does generation, not embedding"),
        ("/api/embed", {"model": "embedder", "input": "a", "dimensions": 5}, "dimensions is 5"),
        ("/api/embeddings", {"model": "embedder", "prompt": ""}, "prompt is empty"),
    ],
)
def test_embed_refuses(served: Live, path: str, body: dict[str, Any], says: str) -> None:
    status, told = served.refusal(path, body)
    assert (status, told["code"]) == (400, "bad_input")
    assert says in told["error"]


@pytest.mark.parametrize(
    ("parameters", "name"), [(0, ""), (999, "999"), (12_000, "12K"), (2_100_000, "2.1M"), (7_240_000_000, "7.2B")]
)
def test_sizes_as_people_write_them(parameters: int, name: str) -> None:
    assert size_name(parameters) == name
