"""Who may come in: every route × method without a key, with a wrong one, and with a key of each verb."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock.core.principal import ANYBODY, VERBS
from penstock.protocols import asking
from penstock.protocols.http.message import HttpResponse
from tests.protocols.doors import IRIS, Doors, body, header, view
from tests.protocols.guards import Words, principal
from tests.protocols.scripted import llm
from tests.protocols.texts import EMBEDS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PROBES = {"/livez", "/readyz", "/health", "/v2/health/live", "/v2/health/ready"}
ROWS = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()
INFER = json.dumps({"inputs": [{"name": "X", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
KEYS = {verb: principal([verb]) for verb in VERBS} | {"all": principal(), "nothing": principal(())}


def doors(**keys: Any) -> Doors:
    """Two models, an embedder and a language model with an alias and a route, behind a guard."""
    views = [view("iris"), view("iris", IRIS, version="2"), view("other"), view("minilm", EMBEDS)]
    tiny: Any = llm("tiny", adapters={"pirate": "x"})
    return Doors(*views, tiny, aliases={"stable": "iris"}, routes={"assistant": "tiny"}, guard=Words(KEYS | keys))


def walked() -> list[tuple[str, str, str]]:
    """Every route with every method that it takes, and HEAD where it takes GET."""
    found = [(m, pattern.replace("{}", "iris") or "/", verb) for m, pattern, verb in Doors().routes.all()]
    return found + [("HEAD", path, verb) for method, path, verb in found if method == "GET"]


def known(server: Doors, method: str, path: str, key: str | None) -> HttpResponse:
    """The answer to an empty request."""
    return server.ask(method, path, b"", **({} if key is None else {"authorization": f"Bearer {key}"}))


def test_every_route_has_a_verb_and_only_probes_are_open() -> None:
    routes = walked()
    assert len(routes) > 60
    assert {path for _, path, verb in routes if verb == "none"} == PROBES
    assert {verb for _, _, verb in routes} == {*VERBS, "none"}
    assert all(verb == "manage" for _, path, verb in routes if "load" in path or "pull" in path)


@pytest.mark.parametrize("key", [None, "wrong", "", "all, all", "Bearer all", "' OR '1'='1"])
def test_without_a_key_every_method_of_every_path_is_closed(key: str | None) -> None:
    server = doors()
    for path in sorted({path for _, path, _ in walked()} | {"/nowhere", "/v1", "/models/iris/nowhere"}):
        for method in METHODS:
            answer = known(server, method, path, key)
            if path in PROBES and method in ("GET", "HEAD"):
                assert answer.status == 200, (method, path)
                continue
            assert answer.status == 401, (method, path)
            assert header(answer, "www-authenticate") == 'Bearer realm="penstock"'
            assert method == "HEAD" or b"iris" not in body(answer)
    assert not server.echo.requests
    assert server.lifecycle.asked == []


@pytest.mark.parametrize("key", VERBS)
def test_a_key_opens_the_doors_of_its_verb_and_no_others(key: str) -> None:
    server = doors()
    for method, path, verb in walked():
        answer = known(server, method, path, key)
        if verb in (key, "none"):
            assert answer.status not in (401, 403) or path == "/api/pull", (method, path)
        else:
            assert answer.status == 403, (method, path)
            assert header(answer, "www-authenticate") is None
    assert key == "manage" or server.lifecycle.asked == []


def test_those_who_are_known_are_told_what_is_not_here() -> None:
    for key in ("all", "nothing", "infer"):
        assert known(doors(), "GET", "/nowhere", key).status == 404
        assert known(doors(), "DELETE", "/models", key).status == 405


def test_the_guard_is_asked_before_the_body_is_looked_at() -> None:
    bomb = gzip.compress(b"0" * 2**20)
    for content in (b"{", bomb):
        answer = doors().ask("POST", "/models/iris/predict", content, content_encoding="gzip")
        assert answer.status == 401
    assert doors().ask("POST", "/models/iris/predict", b"{", authorization="Bearer infer").status == 400


@pytest.mark.parametrize("name", ["authorization", "x_api_key", "api_key"])
def test_a_key_comes_in_any_of_three_headers(name: str) -> None:
    server = doors()
    key = "Bearer infer" if name == "authorization" else "infer"
    assert server.ask("POST", "/models/iris/predict", ROWS, **{name: key}).status == 200
    [request] = server.echo.requests
    assert (request.tenant, request.principal) == ("acme", KEYS["infer"])


def test_refusals_have_the_shape_of_their_dialect() -> None:
    server = doors()
    openai = json.loads(body(known(server, "POST", "/v1/chat/completions", None)))
    assert openai["error"]["type"] == "authentication_error"
    anthropic = json.loads(body(known(server, "POST", "/v1/messages", "read")))
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "permission_error")
    assert json.loads(body(known(server, "GET", "/v2", None)))["code"] == "unauthenticated"
    assert "key" in json.loads(body(known(server, "GET", "/api/tags", None)))["error"]


def test_probes_tell_details_only_to_those_who_may_read() -> None:
    server = doors()
    for key, names in ((None, []), ("wrong", []), ("infer", []), ("read", ["iris", "iris", "other", "minilm", "tiny"])):
        told = json.loads(body(known(server, "GET", "/health", key)))
        assert (told["status"], [model["name"] for model in told["models"]]) == ("ok", names)


def test_without_a_guard_everybody_may_do_everything() -> None:
    server = Doors()
    assert server.ask("POST", "/models/iris/predict", ROWS).status == 200
    [request] = server.echo.requests
    assert (request.principal, request.tenant, request.hints) == (ANYBODY, None, None)


# --- keys for some models and routes


def scoped(*names: str) -> Doors:
    """The same behind a key "k" for these names alone."""
    return doors(k=principal(routes=names))


def ask(server: Doors, path: str, message: Any = None) -> HttpResponse:
    """A GET, or the POST of a message, with that key."""
    content = b"" if message is None else message if isinstance(message, bytes) else json.dumps(message).encode()
    return server.ask("GET" if message is None else "POST", path, content, authorization="Bearer k")


CHAT = [{"role": "user", "content": "hi"}]
ASKED = [
    ("/models/other/predict", ROWS),
    ("/models/other/versions/1/predict", ROWS),
    ("/models/nobody/predict", ROWS),
    ("/v2/models/other/infer", INFER),
    ("/v2/models/other/versions/1/infer", INFER),
    ("/v2/models/nobody/infer", INFER),
    ("/v1/embeddings", {"model": "other", "input": "a"}),
    ("/v1/chat/completions", {"model": "other", "messages": CHAT}),
    ("/v1/completions", {"model": "other", "prompt": "a"}),
    ("/v1/responses", {"model": "other", "input": "a"}),
    ("/v1/messages", {"model": "other", "messages": CHAT, "max_tokens": 1}),
    ("/v1/messages/count_tokens", {"model": "other", "messages": CHAT}),
    ("/v1/rerank", {"model": "other", "query": "a", "documents": ["b"]}),
    ("/tokenize", {"model": "other", "prompt": "a"}),
    ("/detokenize", {"model": "other", "tokens": [1]}),
    ("/api/chat", {"model": "other", "messages": CHAT}),
    ("/api/chat", {"model": "other"}),
    ("/api/generate", {"model": "other", "prompt": "a"}),
    ("/api/generate", {"model": "other", "keep_alive": 0}),
    ("/api/embed", {"model": "other", "input": "a"}),
    ("/api/embeddings", {"model": "other", "prompt": "a"}),
    ("/api/show", {"model": "other"}),
    ("/models/other", None),
    ("/v1/models/other", None),
    ("/v2/models/other", None),
    ("/v2/models/other/ready", None),
    ("/v2/models/other/config", None),
    ("/v2/models/other/stats", None),
    ("/v2/models/other/versions/1/stats", None),
    ("/v2/repository/models/other/load", {}),
    ("/v2/repository/models/other/unload", {}),
]


@pytest.mark.parametrize(("path", "message"), ASKED)
def test_what_a_key_is_not_for_is_forbidden_by_name_at_every_door(path: str, message: Any) -> None:
    server = scoped("iris", "tiny")
    answer = ask(server, path, message)
    assert answer.status == 403
    said = body(answer).decode()
    assert "other" in said or "nobody" in said
    assert "iris, tiny" in said
    assert not server.echo.requests
    assert server.lifecycle.asked == []


def test_every_door_that_takes_a_name_was_tried() -> None:
    tried = {
        path.replace("other", "{}").replace("nobody", "{}").replace("versions/1", "versions/{}") for path, _ in ASKED
    }
    named = {p for _, p, verb in Doors().routes.all() if verb in ("infer", "manage", "read") and "{}" in p}
    assert {path for path in named if path.count("{}") == 1} - tried == set()


@pytest.mark.parametrize(
    ("routes", "path", "status"),
    [
        (["iris"], "/models/iris/predict", 200),
        (["iris"], "/models/iris/versions/2/predict", 200),
        (["iris@2"], "/models/iris/versions/2/predict", 200),
        (["iris@2"], "/models/iris/versions/1/predict", 403),
        (["iris@2"], "/models/iris/predict", 403),
        (["iris"], "/models/stable/predict", 403),
        (["stable"], "/models/stable/predict", 200),
        (["stable"], "/models/iris/predict", 403),
        ([], "/models/iris/predict", 403),
        (["IRIS"], "/models/iris/predict", 403),
        (["iris"], "/models/%69ris/predict", 200),
        (["iris"], "/models/iri%73%40%32/predict", 200),
        (["iris@1"], "/models/iri%73%40%32/predict", 403),
        (["iris@1"], "/models/iris%402/versions/1/predict", 403),
        (["iris"], "/models/iris%00/predict", 403),
        (["other"], "/models/iris%40other/predict", 403),
    ],
)
def test_a_name_with_its_version_and_an_alias(routes: list[str], path: str, status: int) -> None:
    assert ask(scoped(*routes), path, ROWS).status == status


def test_an_adapter_may_be_all_that_a_key_is_for() -> None:
    server = scoped("tiny:pirate")
    assert [model["id"] for model in json.loads(body(ask(server, "/v1/models")))["data"]] == ["tiny:pirate"]
    assert ask(server, "/v1/models/tiny:pirate").status == 200
    assert ask(server, "/v1/models/tiny").status == 403
    whole = scoped("tiny")
    assert [model["id"] for model in json.loads(body(ask(whole, "/v1/models")))["data"]] == ["tiny", "tiny:pirate"]
    assert ask(whole, "/v1/models/tiny:latest").status == 200


LISTS = [
    ("/v1/models", None, lambda told: [model["id"] for model in told["data"]]),
    ("/models", None, lambda told: [each["name"] for each in told["models"] + told["names"]]),
    ("/v2/repository/index", {}, lambda told: [model["name"] for model in told]),
    ("/v2/models/stats", None, lambda told: [model["name"] for model in told["model_stats"]]),
    ("/api/tags", None, lambda told: [model["name"] for model in told["models"]]),
    ("/api/ps", None, lambda told: [model["name"] for model in told["models"]]),
    ("/health", None, lambda told: [model["name"] for model in told["models"]]),
]


@pytest.mark.parametrize(("path", "message", "names"), LISTS)
def test_lists_show_what_a_key_is_for(path: str, message: Any, names: Any) -> None:
    shown = [set(names(json.loads(body(ask(scoped(name), path, message))))) for name in ("tiny", "assistant", "stable")]
    public = path not in ("/v2/models/stats", "/health", "/api/ps")
    stable = {"stable"} if public and path != "/api/tags" else set()
    assert shown[0] - {"tiny:pirate"} == {"tiny"}
    assert shown[1:] == [{"assistant"} if public else set(), stable]


def test_lists_have_aliases_and_routes() -> None:
    server = Doors(view(), aliases={"stable": "iris"}, routes={"r": "iris"})
    listed = json.loads(body(server.ask("GET", "/v1/models")))["data"]
    kinds = {model["id"]: model.get("kind") for model in listed}
    assert kinds == {"iris": None, "stable": "alias", "r": "route"}
    index = json.loads(body(server.ask("POST", "/v2/repository/index")))
    assert [(model["name"], model["state"]) for model in index] == [(n, "READY") for n in ("iris", "r", "stable")]
    told = json.loads(body(server.ask("GET", "/models")))
    ready = {"state": "READY", "reason": ""}
    assert told["names"] == [
        {"name": "r", "kind": "route", **ready, "policy": "first", "models": ["iris"]},
        {"name": "stable", "kind": "alias", **ready},
    ]
    [route] = json.loads(body(ask(scoped("assistant"), "/models")))["names"]
    assert (route["name"], route["policy"], route["models"]) == ("assistant", "first", [])


def test_the_document_shows_what_a_key_is_for() -> None:
    paths = json.loads(body(ask(scoped("iris"), "/openapi.json")))["paths"]
    assert "/models/iris/predict" in paths
    assert (
        "/models/flowers/predict"
        in json.loads(body(Doors(view(), routes={"flowers": "iris"}).ask("GET", "/openapi.json")))["paths"]
    )
    assert "/models/other/predict" not in paths


def test_the_only_model_is_the_only_one_that_a_key_is_for() -> None:
    assert ask(scoped("iris"), "/predict", ROWS).status == 200
    said = body(ask(scoped("minilm", "iris"), "/predict", ROWS)).decode()
    assert "minilm" in said
    assert "other" not in said
    assert ask(scoped(), "/predict", ROWS).status == 404


def test_refusals_name_no_model_that_a_key_is_not_for() -> None:
    for path, message in (
        ("/v1/embeddings", {"model": "iris", "input": "a"}),
        ("/api/embed", {"model": "iris", "input": "a"}),
        ("/v1/chat/completions", {"model": "iris", "messages": CHAT}),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}),
    ):
        answer = ask(scoped("iris"), path, message)
        assert answer.status == 400
        assert b"minilm" not in body(answer)
        assert b"tiny" not in body(answer)


@pytest.mark.parametrize(("path", "message"), ASKED)
def test_what_is_not_served_is_told_without_names_that_a_key_is_not_for(path: str, message: Any) -> None:
    absent = json.loads(json.dumps(message).replace("other", "tinny")) if isinstance(message, dict) else message
    server = scoped("tinny", "nobody", "stable", "iris@1")
    answer = ask(server, path.replace("other", "tinny"), absent)
    said = body(answer).decode()
    assert answer.status == 404
    assert not server.echo.requests
    assert "served: iris@1, stable" in said
    assert not {"tiny", "minilm", "assistant", "other"} & set(re.findall(r"\w+", said))


def test_a_mistyped_name_is_told_what_was_meant() -> None:
    assert b"did you mean 'assistant'?" in body(ask(scoped("asistant", "assistant"), "/models/asistant/predict", ROWS))
    for path, message in (
        ("/models/assistent", None),
        ("/v1/chat/completions", {"model": "asistant", "messages": CHAT}),
    ):
        assert b"did you mean 'assistant'?" in body(ask(doors(k=principal()), path, message))
    assert b"served: nothing that this key may use" in body(ask(scoped("tinny"), "/models/tinny"))
    assert b"did you mean 'iris@1'?" in body(ask(scoped("iris@1", "iris@9"), "/models/iris/versions/9/predict", ROWS))


def test_asking_does_not_manage() -> None:
    """Ollama's way to load and unload a model goes through doors that ask models."""
    server = doors(k=principal(["infer"]))
    assert ask(server, "/api/generate", {"model": "tiny", "keep_alive": 0}).status == 403
    assert ask(server, "/api/chat", {"model": "tiny"}).status == 200
    assert server.lifecycle.asked == []
    allowed = doors(k=principal(["infer", "manage"]))
    assert ask(allowed, "/api/generate", {"model": "tiny", "keep_alive": 0}).status == 200
    assert allowed.lifecycle.asked == ["unload tiny"]


def test_a_route_has_nothing_to_load() -> None:
    server = doors(k=principal())
    for path in ("/v2/repository/models/assistant/load", "/v2/repository/models/assistant/unload"):
        answer = ask(server, path, {})
        assert (answer.status, b"its models: tiny" in body(answer)) == (400, True)
    assert ask(server, "/api/generate", {"model": "assistant", "keep_alive": 0}).status == 400
    assert ask(server, "/api/generate", {"model": "assistant"}).status == 200
    assert server.lifecycle.asked == []


def test_doors_have_one_way_to_the_path() -> None:
    """Who makes a `Request` must say who asks, and be told whether he may; `request_of` does."""
    folder = Path(asking.__file__).parent
    makers = [file.name for file in folder.rglob("*.py") if re.search(r"(?<!\w)Request\(", file.read_text())]
    assert makers == ["asking.py"]
