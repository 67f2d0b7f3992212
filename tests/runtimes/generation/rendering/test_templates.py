"""Chat templates in the manner of well-known models are rendered as transformers renders them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.core.errors import BadInput, ModelFileError
from penstock.runtimes.generation.rendering import Renderer
from tests.runtimes.generation.rendering import templates
from tests.runtimes.generation.rendering.asking import render, said

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": 'The weather <of> a town & its "surroundings"',
        "parameters": {"type": "object", "properties": {"town": {"type": "string", "description": "Ort, größer"}}},
    },
}
CALL = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"town": "Köln"}}}
CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]] | None]] = {
    "question": ([said("user", "  Where is <Köln>? 🙂 ")], None),
    "turns": ([said("user", "a"), said("assistant", "<think>\nb</think>\n\nc"), said("user", "d")], None),
    "system": ([said("system", "Be brief. "), said("user", "a"), said("assistant", "b"), said("user", "c")], None),
    "tools": ([said("user", "weather?")], [TOOL]),
    "calls": (
        [said("user", "weather?"), said("assistant", "", tool_calls=[CALL]), said("tool", "rain", name="weather")],
        [TOOL],
    ),
    "calls twice": ([said("user", "?"), said("assistant", "", tool_calls=[CALL, CALL])], [TOOL]),
}


@pytest.fixture(scope="module", params=templates.ALL)
def template(request: pytest.FixtureRequest) -> Iterator[tuple[str, Renderer]]:
    text = templates.ALL[request.param]
    renderer = Renderer(text, bos="<s>", eos="</s>")
    renderer.check()
    yield text, renderer
    renderer.close()


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("variables", [{}, {"add_generation_prompt": False}, {"enable_thinking": False}])
def test_as_transformers_does(template: tuple[str, Renderer], name: str, variables: dict[str, Any]) -> None:
    text, renderer = template
    messages, tools = CONVERSATIONS[name]
    got = render(renderer, messages, tools, **variables)
    wanted, refused = theirs(text, messages, tools, variables)
    if refused:
        assert isinstance(got, BadInput)
        assert refused in got.message
    else:
        assert got == wanted


def theirs(text: str, messages: list[Any], tools: list[Any] | None, variables: dict[str, Any]) -> tuple[str, str]:
    """What transformers makes of it, or why it refuses."""
    from transformers.utils.chat_template_utils import render_jinja_template

    given = {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **variables}
    try:
        return render_jinja_template([messages], tools=tools, chat_template=text, **given)[0][0], ""
    except Exception as error:
        return "", str(error)


def test_a_refusal_has_the_templates_words() -> None:
    renderer = Renderer(templates.GEMMA, bos="<bos>", eos="<eos>")
    error = render(renderer, [said("system", "be brief"), said("user", "hello")])
    assert isinstance(error, BadInput)
    assert (error.message, error.param) == ("System role not supported", "messages")
    assert render(renderer, [said("user", "hello")]) == (
        "<bos><start_of_turn>user\nhello<end_of_turn>\n<start_of_turn>model\n"
    )
    renderer.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{% for m in messages %}", "line 1: Unexpected end of template"),
        ("a\nb {{ 1 +", "line 2"),
        ("{{ x | nothing_of_the_kind }}", "No filter named 'nothing_of_the_kind'"),
        ("{% include 'other' %}{% unknown %}", "unknown"),
        ("{{ " + "(" * 5000 + ")" * 5000 + " }}", "nested too deeply"),
    ],
)
def test_a_broken_template_is_refused_when_it_is_loaded(text: str, words: str) -> None:
    renderer = Renderer(text, bos="", eos="")
    with pytest.raises(ModelFileError) as caught:
        renderer.check()
    assert words in caught.value.message
    renderer.close()


def test_json_is_written_as_it_is() -> None:
    renderer = Renderer("{{ tools | tojson }}|{{ tools | tojson(indent=1) }}", bos="", eos="")
    assert render(renderer, [], [{"a": "<é'&>"}]) == '[{"a": "<é\'&>"}]|[\n {\n  "a": "<é\'&>"\n }\n]'
    renderer.close()
