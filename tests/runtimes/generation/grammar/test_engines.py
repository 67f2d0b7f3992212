"""Whatever an engine generates under a schema's grammar is JSON that follows the schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from penstock.core.errors import BadInput
from penstock.core.generation import Tool
from penstock.runtimes.generation.grammar import calls_grammar, schema_grammar
from tests.runtimes.generation.grammar.engine import engine
from tests.runtimes.generation.grammar.recognizer import Grammar
from tests.runtimes.generation.grammar.schemas import FORMATS, PATTERNS, documents

pytest.importorskip("openvino_genai")
FORMAT_CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER


def ended(grammar: str) -> list[str]:
    """Texts that came to their end. A byte-level model of random weights may write bytes that are no text."""
    found = [text.decode(errors="ignore") for text, end in engine().texts(grammar) if end and is_text(text)]
    reader = Grammar(grammar)
    assert [text for text in found if not reader.accepts(text)] == []
    return found


def is_text(data: bytes) -> bool:
    try:
        return bool(data.decode())
    except UnicodeDecodeError:
        return False


def validated(schema: dict[str, Any]) -> int:
    validator = jsonschema.Draft202012Validator(schema, format_checker=FORMAT_CHECKER)
    texts = ended(schema_grammar(schema))
    for text in texts:
        validator.validate(json.loads(text))
    return len(texts)


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(documents())
def test_random_schemas_hold(schema: dict[str, Any]) -> None:
    try:
        validated(schema)
    except BadInput:
        return


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_hold(pattern: str) -> None:
    validated({"type": "string", "pattern": pattern})


@pytest.mark.parametrize("format", FORMATS)
def test_formats_hold(format: str) -> None:
    assert validated({"type": "string", "format": format})


@pytest.mark.parametrize(
    "values", [["https://", "http://"], ["abcsxy", "abcxy"], ["zabsx", "zabx"], ["htsx", "htx", "ht"]]
)
def test_values_that_begin_and_end_alike_do_not_become_loops(values: list[str]) -> None:
    assert validated({"enum": values})
    assert validated({"type": "string", "pattern": f"^({'|'.join(values)})$".replace("/", "\\/")})


@pytest.mark.parametrize("length", [1, 15, 16, 40, 300, 4000])
def test_long_strings_and_lists(length: int) -> None:
    validated({"type": "string", "maxLength": length})
    validated({"type": "array", "items": {"type": "boolean"}, "maxItems": length, "minItems": length // 100})


@pytest.mark.parametrize("format", ["hermes", "llama3", "mistral"])
def test_calls_of_tools(format: Any) -> None:
    turn = Tool("turn", "", {"properties": {"wheel": {"enum": ["left", "right"]}}, "required": ["wheel"]}, True)
    stop = Tool("stop", "", {"type": "object", "properties": {}, "additionalProperties": False})
    texts = ended(calls_grammar(format, [turn, stop], "required", True))
    assert texts
    for text in texts:
        for name, arguments in calls_in(text):
            assert name in ("turn", "stop")
            assert arguments in ([{"wheel": "left"}, {"wheel": "right"}] if name == "turn" else [{}])


def calls_in(text: str) -> list[tuple[str, Any]]:
    """The calls of an answer in any of the formats."""
    text = text.replace("<tool_call>", "").replace("[TOOL_CALLS]", "")
    found = []
    for part in text.split("</tool_call>"):
        values = json.loads(part) if part.strip() else []
        for value in values if isinstance(values, list) else [values]:
            found.append((value["name"], value["arguments"] if "arguments" in value else value["parameters"]))
    return found
