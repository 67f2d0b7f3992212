"""Which grammar an answer has to follow: of a schema, of tool calls, or none."""

from __future__ import annotations

from penstock.core.generation import Generation
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.checks import refuse
from penstock.runtimes.generation.contract import Tokenizer
from penstock.runtimes.generation.grammar import calls_grammar, schema_grammar
from penstock.runtimes.generation.grammars import after_thoughts, either, perhaps
from penstock.runtimes.generation.marks.choice import call_format, thinks, tool_format
from penstock.runtimes.generation.marks.think import CLOSE
from penstock.runtimes.generation.prompt import offered
from penstock.runtimes.generation.reading import opened


class Constraints:
    """Makes the grammars of one model's answers."""

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer):
        self._tool_format = tool_format(model)
        self._calls = call_format(model)
        marks = {tokenizer.pieces()[token] for token in tokenizer.control}
        self._thinks = thinks(model)
        self._silent = CLOSE.encode() in marks

    def of(self, generation: Generation) -> str:
        """GBNF whose `root` is the answer without thoughts; "" where it is free.

        Raises `BadInput` for schemas that cannot be enforced, and for tools that are not there.
        """
        if must_call(generation):
            return self._calls_of(generation)
        if generation.format is not None:
            schema = schema_grammar(generation.format)
            return either(schema, self._calls_of(generation)) if offered(generation) else schema
        return self._free(generation) if wanted_by(generation) else ""

    def _calls_of(self, generation: Generation) -> str:
        if self._tool_format is None:
            refuse("how this model writes tool calls is not known", "tools")
        choice = generation.tool_choice if must_call(generation) else "required"
        return calls_grammar(self._tool_format, offered(generation), choice, generation.parallel_calls)

    def _free(self, generation: Generation) -> str:
        calls, format = self._calls_of(generation), self._calls
        return perhaps(calls, format.opening, bare=format.bare) if format is not None else ""

    def close(self, generation: Generation, prompt: str) -> str:
        """What is added to a prompt that ends inside of thoughts when a grammar follows that cannot end them."""
        return f"\n{CLOSE}\n\n" if self._silent and self._thinking(generation) and opened(prompt) else ""

    def whole(self, grammar: str, generation: Generation, prompt: str) -> str:
        """The grammar of all that follows a prompt: thoughts are free, where there may be any."""
        if not grammar or self._silent or not self._thinking(generation):
            return grammar
        begun = opened(prompt)
        return grammar if generation.think is False and not begun else after_thoughts(grammar, opened=begun)

    def _thinking(self, generation: Generation) -> bool:
        return self._thinks and bool(generation.messages)


def wanted_by(generation: Generation) -> str:
    """The field of a request that takes a grammar; "" where none does. Raises like `must_call`."""
    if must_call(generation):
        return "tool_choice"
    if generation.format is not None:
        return "response_format"
    return "tools" if any(tool.strict for tool in offered(generation)) else ""


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
