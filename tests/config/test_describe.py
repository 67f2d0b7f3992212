"""The JSON Schema that editors get."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from penstock.config.describe import json_schema, sentences, structs
from penstock.config.schema import Config


def complaints(settings: Any) -> list[str]:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(settings)]


def test_every_setting_has_its_sentence() -> None:
    for kind in structs(Config):
        for name, field in json_schema()["$defs"][kind.__name__]["properties"].items():
            assert field["description"] == sentences(kind)[name]
            assert field["description"].endswith(".")


@pytest.mark.parametrize(
    "right",
    [{}, {"models": {"iris": "./iris.onnx"}}, {"models": {"iris": {"source": "a", "batching": {"max_size": 3}}}}],
)
def test_right_settings_fit(right: Any) -> None:
    assert complaints(right) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"modles": {}},
        {"models": {"iris": {"batching": {}}}},
        {"models": {"iris": {"source": "a", "batching": {"policy": "x"}}}},
        {"http": {"port": 70000}},
    ],
)
def test_wrong_settings_do_not(wrong: Any) -> None:
    assert complaints(wrong)
