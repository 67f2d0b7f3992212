"""Language models in the OpenAPI document: their doors, schemas and examples, which work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource

from penstock.core.clock import system_clock
from penstock.core.generation import Generated, Started, Text, Usage
from penstock.protocols.docs.generation import DOORS
from penstock.protocols.docs.pages import Docs
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.door import OpenAI
from penstock.protocols.predict import Predict
from tests.protocols.scripted import HELLO, Live, Scripted, Served, live, llm


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[Live, Scripted]]:
    model = Scripted()

    def mount(routes: Routes, served: Served) -> None:
        OpenAI(model, served, system_clock).mount(routes)
        Predict(model, served, system_clock).mount(routes)
        Docs(served, "9.9").mount(routes)

    with live(mount, llm(), llm("other/one")) as server:
        yield server, model


@pytest.fixture(scope="module")
def api(doors: tuple[Live, Scripted]) -> Any:
    return doors[0].json("/openapi.json")


def validator(api: Any, name: str) -> Draft202012Validator:
    """A schema of the document, with its references."""
    registry: Any = Registry().with_resource("urn:api", Resource.opaque(api))
    schema = json.loads(json.dumps(api["components"]["schemas"][name]).replace('"#/', '"urn:api#/'))
    return Draft202012Validator(schema, registry=registry)


def test_it_is_valid_and_every_door_is_in_it(api: Any) -> None:
    assert list(OpenAPIV31SpecValidator(api).iter_errors()) == []
    assert set(DOORS) <= set(api["paths"])
    chat = api["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert set(chat) == {"application/json", "text/event-stream"}
    assert not any("predict" in path for path in api["paths"]), "a language model takes no rows"


def test_every_models_examples_work_and_answers_are_as_described(doors: tuple[Live, Scripted], api: Any) -> None:
    server, model = doors
    assert [model["name"] for model in api["x-penstock-models"]] == ["tiny", "other/one"]
    for told in api["x-penstock-models"]:
        assert told["doors"][0]["path"] == "/v1/chat/completions"
        for door in told["doors"]:
            kind = DOORS[door["path"]][2]
            asks_text = door["path"] == "/detokenize"
            model.steps = (Started(1), Text(0, "a"), Generated(Usage(1))) if asks_text else HELLO
            validator(api, f"{kind}Request").validate(door["body"])
            validator(api, f"{kind}Response").validate(server.json(door["path"], door["body"]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"store": True},
        {"functions": []},
        {"temperature": 3},
        {"colour": 1},
        {"messages": [{"content": "x"}]},
    ],
)
def test_the_schemas_refuse_what_the_door_refuses(doors: tuple[Live, Scripted], api: Any, wrong: Any) -> None:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], **wrong}
    assert not validator(api, "ChatRequest").is_valid(asked)
    assert doors[0].refusal("/v1/chat/completions", asked)[0] == 400


def test_every_field_is_explained(api: Any) -> None:
    for _, _, kind, _ in DOORS.values():
        for name, field in api["components"]["schemas"][f"{kind}Request"]["properties"].items():
            assert field.get("description"), f"{kind}: {name}"


def test_the_rows_door_says_where_a_language_model_answers(doors: tuple[Live, Scripted]) -> None:
    for path in ("/models/tiny/predict", "/models/other%2Fone/predict"):
        status, answer = doors[0].refusal(path, {"inputs": ["Hello"]})
        assert (status, "/v1/chat/completions" in answer["error"]["message"]) == (400, True)
