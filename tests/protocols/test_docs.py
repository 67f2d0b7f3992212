"""The OpenAPI document and the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from penstock.core.model import State
from penstock.core.signature import Signature, TensorSpec
from tests.protocols.doors import IRIS, Doors, View, body, header, view
from tests.protocols.texts import CLASSIFIES, EMBEDS, RERANKS, text_doors

NASTY = "<script>alert(1)</script>/../\"'"
ADULTS = Signature(
    (
        TensorSpec("age", "INT64", (-1,)),
        TensorSpec("job", "BYTES", (-1,), optional=True),
        TensorSpec("pixels", "FP32", (-1, 2, 2)),
    ),
    (TensorSpec("label", "INT64", (-1,)), TensorSpec("p", "FP32", (-1, 3), labels=("a", "b", "c"))),
)
WHOLE = Signature((TensorSpec("text", "BYTES", ()),), (), batched=False)


def served() -> list[View]:
    loading = view("loading", None)
    loading.state, loading.reason = State.LOADING, "starting"
    return [
        view("iris", IRIS, example=[[5.1, 3.5, 1.4, 0.2]]),
        view("adults", ADULTS, example=[{"age": 39, "job": "clerk", "pixels": [[1, 2], [3, 4]]}]),
        view("listed", ADULTS, example=[[39, "clerk", [[1, 2], [3, 4]]]]),
        view("whole", WHOLE, example=["hello"]),
        view(NASTY, IRIS),
        view("iris", IRIS, version="2"),
        view("minilm", EMBEDS, precision="int8", details={"report": {"loss": 0.01}}),
        view("reranker", RERANKS),
        view("mood", CLASSIFIES),
        loading,
    ]


@pytest.fixture
def api() -> dict[str, Any]:
    return json.loads(body(Doors(*served()).ask("GET", "/openapi.json")))


def test_it_is_valid_openapi_3_1(api: dict[str, Any]) -> None:
    assert api["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(api).iter_errors()) == []
    empty = Doors()
    empty.models.views.clear()
    assert list(OpenAPIV31SpecValidator(json.loads(body(empty.ask("GET", "/openapi.json")))).iter_errors()) == []


def test_each_model_has_a_path_a_schema_and_its_own_example(api: dict[str, Any]) -> None:
    for name in ("iris", "adults", "listed", "whole", "loading", "minilm", "reranker", "mood"):
        assert f"/models/{name}/predict" in api["paths"]
    assert "/models/%3Cscript%3Ealert%281%29%3C%2Fscript%3E%2F..%2F%22%27/predict" in api["paths"]
    assert "/models/iris/versions/2/predict" in api["paths"]
    examples = 0
    for name, schema in api["components"]["schemas"].items():
        if name.lower().endswith("request"):
            for example in schema.get("examples", ()):
                Draft202012Validator(schema).validate(example)
                examples += 1
    assert examples == 10


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("iris_1", [[1, 2, 3]]),
        ("iris_1", [["1", 2, 3, 4]]),
        ("iris_1", []),
        ("adults_1", [{"job": "clerk", "pixels": [[1, 2], [3, 4]]}]),
        ("adults_1", [{"age": 2**63, "pixels": [[1, 2], [3, 4]]}]),
        ("adults_1", [{"age": 1, "pixels": [[1, 2]]}]),
        ("adults_1", [{"age": 1, "pixels": [[1, 2], [3, 4]], "other": 1}]),
        ("listed_1", [[39, "clerk"]]),
        ("whole_1", ["one", "two"]),
        ("reranker_1", ["a"]),
        ("mood_1", [5]),
        ("mood_1", [["a"]]),
        ("mood_1", [{"text_pair": "a"}]),
        ("mood_1", [{"text": "a", "other": "b"}]),
    ],
)
def test_the_schemas_refuse_what_the_doors_refuse(api: dict[str, Any], key: str, wrong: list[Any]) -> None:
    schema = api["components"]["schemas"][f"predict.{key}.request"]
    assert not Draft202012Validator(schema).is_valid({"inputs": wrong})


def test_every_operation_lists_every_status_with_its_codes(api: dict[str, Any]) -> None:
    statuses = {"400", "401", "403", "404", "405", "408", "409", "413", "415", "429", "431", "500", "501", "503", "504"}
    for item in api["paths"].values():
        for method in item.keys() & {"get", "post"}:
            assert statuses <= item[method]["responses"].keys()
    codes = api["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert {"unknown_model", "overloaded", "request_refused", "deadline_exceeded"} <= set(codes)
    assert "untrusted_file" not in codes
    assert "crash_looping" in api["components"]["responses"]["Error503"]["description"]


def test_every_documented_path_has_a_door() -> None:
    doors = Doors(view("iris"))
    api = json.loads(body(doors.ask("GET", "/openapi.json")))
    for path, item in api["paths"].items():
        for method in item.keys() & {"get", "post"}:
            real = path.replace("{model}", "iris").replace("{version}", "1")
            response = doors.ask(method.upper(), real)
            assert response.status not in (404, 405, 500), path


def test_errors_have_the_documented_shape() -> None:
    doors = Doors()
    schemas = json.loads(body(doors.ask("GET", "/openapi.json")))["components"]["schemas"]
    ours, theirs = doors.ask("POST", "/models/none/predict", b"{}"), doors.ask("GET", "/v2/models/none")
    Draft202012Validator(schemas["Error"]).validate(json.loads(body(ours)))
    Draft202012Validator(schemas["OipError"]).validate(json.loads(body(theirs)))
    for path in ("/v1/embeddings", "/v1/rerank", "/rerank", "/v2/rerank"):
        Draft202012Validator(schemas["OpenAIError"]).validate(json.loads(body(doors.ask("POST", path, b"{}"))))


def test_a_text_model_says_where_else_it_answers_and_its_examples_work() -> None:
    doors = text_doors()
    api = json.loads(body(doors.ask("GET", "/openapi.json")))
    schemas, asked = api["components"]["schemas"], 0
    for item in api["paths"].values():
        model = item.get("post", {}).get("x-penstock-model", {})
        for door in model.get("doors", ()):
            kind = "Embeddings" if door["path"] == "/v1/embeddings" else "Rerank"
            Draft202012Validator(schemas[f"{kind}Request"]).validate(door["body"])
            response = doors.ask("POST", door["path"], json.dumps(door["body"]).encode())
            assert response.status == 200, door
            Draft202012Validator(schemas[f"{kind}Response"]).validate(json.loads(body(response)))
            asked += 1
    assert asked == 3


def test_a_text_models_task_precision_and_report_are_documented(api: dict[str, Any]) -> None:
    told = api["paths"]["/models/minilm/predict"]["post"]["x-penstock-model"]
    assert (told["task"], told["precision"], told["report"]) == ("embedding", "int8", {"loss": 0.01})
    scores = api["components"]["schemas"]["predict.mood_1.response"]["properties"]["outputs"]["items"]
    assert scores["properties"]["scores"]["required"] == ["bad", "good"]
    assert "truncate" in api["components"]["schemas"]["predict.mood_1.request"]["properties"]
    assert "truncate" not in api["components"]["schemas"]["predict.iris_1.request"]["properties"]


def test_the_page_needs_nothing_from_elsewhere_and_runs_only_its_own_script() -> None:
    response = Doors(*served()).ask("GET", "/docs")
    html, policy = body(response).decode(), header(response, "content-security-policy")
    assert response.content_type.startswith(b"text/html")
    assert "http://" not in html
    assert "https://" not in html
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"\son\w+=", html)
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(", html)


def test_the_page_holds_nothing_that_a_model_says() -> None:
    assert body(Doors(*served()).ask("GET", "/docs")) == body(Doors().ask("GET", "/docs"))


def test_home_leads_browsers_to_the_page() -> None:
    response = Doors().ask("GET", "/", accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (response.status, header(response, "location")) == (307, "docs")


@pytest.mark.parametrize("accept", [{}, {"accept": "*/*"}, {"accept": "application/json"}])
def test_home_is_well_for_whoever_only_looks(accept: dict[str, str]) -> None:
    there, looked = (Doors().ask(method, "/", **accept) for method in ("GET", "HEAD"))
    assert (there.status, json.loads(body(there))["docs"]) == (200, "docs")
    assert (looked.status, body(looked), looked.headers[:-1]) == (200, b"", there.headers[:-1])


def test_it_says_which_doors_need_a_key(api: dict[str, Any]) -> None:
    assert set(api["components"]["securitySchemes"]) == {"bearer", "x-api-key", "api-key"}
    assert api["security"][-1] == {}
    routes = Doors(*served()).routes
    for path, item in api["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            verb = routes.find(method.upper(), path.encode()).verb
            assert (operation.get("security") == []) == (verb == "none"), path
            assert operation.get("x-penstock-verb", "none") == verb
            wishes = {parameter.get("$ref", "").rpartition("/")[2] for parameter in operation.get("parameters", ())}
            assert ("X-Penstock-Budget" in wishes) == (verb == "infer" and path != "/v1/feedback"), path


def test_every_door_that_asks_or_feeds_back_is_in_it(api: dict[str, Any]) -> None:
    known = {re.sub(r"{\w+}|iris|(?<=versions/)2", "{}", path) for path in api["paths"]}
    asked = {path for _, path, verb in Doors().routes.all() if verb in ("infer", "none", "metrics")}
    assert asked - known == {"/predict"}
