"""Which grammar an answer has to follow: of a schema, or of tool calls."""

from __future__ import annotations

from penstock.core.generation import Generation
from penstock.runtimes.generation.checks import refuse
from penstock.runtimes.generation.prompt import offered


def grammar_of(generation: Generation, tool_format: str) -> str:
    """GBNF whose `root` is the answer; "" where it is free. Raises `BadInput` for schemas that cannot be enforced."""
    called = must_call(generation)
    if not called and generation.format is None:
        return ""
    from penstock.runtimes.generation.grammar import calls_grammar, schema_grammar

    if called:
        tools = offered(generation)
        return str(calls_grammar(tool_format, tools, generation.tool_choice, generation.parallel_calls))
    return str(schema_grammar(generation.format))


def must_call(generation: Generation) -> bool:
    """Whether the answer is to be tool calls. Raises `BadInput` when there is no such tool."""
    wanted = generation.tool_choice
    if wanted in ("auto", "none"):
        return False
    names = [tool.name for tool in generation.tools]
    if not names:
        refuse("a tool is to be called, and the request has none", "tool_choice")
    if wanted != "required" and wanted.removeprefix("=") not in names:
        refuse(f"the tool {wanted.removeprefix('=')[:64]!r} is none of {', '.join(names[:20])}", "tool_choice")
    return True
