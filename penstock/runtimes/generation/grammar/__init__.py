"""What an answer must look like, as one grammar that every engine reads: a JSON Schema, or calls of tools."""

from __future__ import annotations

from typing import Any

from penstock.runtimes.generation.grammar.calls import calls_grammar
from penstock.runtimes.generation.grammar.json_text import any_object
from penstock.runtimes.generation.grammar.rules import Rules
from penstock.runtimes.generation.grammar.schema import SchemaRules, check_size

__all__ = ["calls_grammar", "schema_grammar"]


def schema_grammar(schema: dict[str, Any]) -> str:
    """The grammar (GBNF, its first rule `root`) of JSON that follows `schema`; `{}` means any JSON object.

    Raises `BadInput` for what is no schema, is too large, contradicts itself, or says what cannot be enforced.
    """
    check_size(schema)
    rules = Rules()
    if not schema:
        return rules.text(any_object(rules))
    return rules.text(SchemaRules(rules, schema).value(schema))
