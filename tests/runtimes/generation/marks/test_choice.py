"""Which marks belong to which template."""

from __future__ import annotations

import pytest

from penstock.core.language import LanguageModel
from penstock.runtimes.generation.marks.choice import call_format, thinks, tool_format

QWEN = (
    '{{- "<tools>" }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}{{- "For each function call, return\\n'
    '<tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call>" }}'
)
LLAMA = '<|start_header_id|>system<|end_header_id|>Answer as {"name": function name, "parameters": a dictionary}.'


@pytest.mark.parametrize(
    ("template", "format"),
    [
        (QWEN, "hermes"),
        (LLAMA, "llama3"),
        ("{{ '<|python_tag|>' + tool_call.name }}", "llama3"),
        ("{{ '[TOOL_CALLS]' }}{{ tool_calls | tojson }}", "mistral"),
        ("<tool_call>\n<function=add>\n<parameter=a>", None),
        ("<tool_call>add\n<arg_key>a</arg_key>", None),
        ("<|start_header_id|>{{ role }}<|end_header_id|>", None),
        ("", None),
    ],
)
def test_the_template_tells_the_format(template: str, format: str | None) -> None:
    model = LanguageModel(chat_template=template)
    assert tool_format(model) == format
    assert (call_format(model) is None) == (format is None)


def test_options_go_before_the_template() -> None:
    assert tool_format(LanguageModel(chat_template=QWEN, tool_format="mistral")) == "mistral"
    assert tool_format(LanguageModel(chat_template=QWEN, tool_format="none")) is None
    assert thinks(LanguageModel(reasoning="think"))
    assert not thinks(LanguageModel(chat_template="</think>", reasoning="none"))


def test_templates_that_know_thoughts() -> None:
    assert thinks(LanguageModel(chat_template="{{ content.split('</think>')[-1] }}"))
    assert not thinks(LanguageModel(chat_template=QWEN))
