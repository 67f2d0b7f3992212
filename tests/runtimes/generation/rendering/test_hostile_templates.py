"""A template that would do harm fails in bounded time, and the next conversation is rendered."""

from __future__ import annotations

import time

import pytest

from penstock.core.errors import BadInput, ModelFailed, ModelFileError, PenstockError, TooLarge
from penstock.runtimes.generation.rendering import Renderer
from tests.runtimes.generation.rendering.asking import collect, render, said

LIMIT_S = 0.5
MEMORY = 256 * 2**20

HOSTILE = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "many loops": "{% for a in range(999) %}" * 8 + "{% endfor %}" * 8,
    "long range": "{{ range(10**9) | list }}",
    "giant format": "{{ '%999999999d' | format(1) }}",
    "giant percent": "{{ '%999999999d' % 1 }}",
    "giant str.format": "{{ '{:>999999999}'.format(1) }}",
    "giant center": "{{ 'a' | center(999999999) }}{{ 'a'.ljust(999999999) }}",
    "giant indent": "{{ ('a\\n' * 100000) | indent(100000) }}",
    "giant list": "{{ [0] * 10**10 }}",
    "giant string": "{{ 'a' * 10**10 }}",
    "giant power": "{{ 10 ** (10 ** 10) }}",
    "giant power later": "{% set n = 10 ** 8 %}{{ 7 ** n }}",
    "doubling": "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "replace bomb": "{% set n = namespace(x='a') %}"
    "{% for i in range(20) %}{% set n.x = n.x.replace('a', 'a' * 99) %}{% endfor %}{{ n.x }}",
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "two by two": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "recursive loop": "{% for x in [[[]]] recursive %}{{ loop([x, x]) }}{% endfor %}",
    "endless text": "{% for a in range(99999) %}{% for b in range(999) %}all work and no play {% endfor %}{% endfor %}",
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr filter": "{{ '' | attr('__class__') | attr('__mro__') }}{{ raise_exception('no attribute') }}",
    "format attribute": "{{ '{0.__class__.__mro__}'.format('') }}",
    "format_map": "{{ '{a.__class__.__mro__}'.format_map({'a': 1}) }}",
    "globals of a function": "{{ raise_exception.__globals__.os }}",
    "init of namespace": "{{ namespace.__init__.__globals__ }}",
    "init of cycler": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "lipsum": "{{ lipsum.__globals__ }}",
    "lipsum much": "{{ lipsum(99999999) }}",
    "joiner": "{{ joiner.__init__.__globals__['__builtins__'] }}",
    "self": "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context }}",
    "map attribute": "{{ [''] | map(attribute='__class__') | list | attr('append')(1) }}{{ [].append(1) }}",
    "mutation": "{{ messages.append(1) }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import '/etc/passwd' as x %}",
    "extends": "{% extends '/etc/passwd' %}",
    "sort of a bomb": "{{ (range(99999) | list * 999) | sort }}",
    "time bomb": "{{ strftime_now('%999999999d') * 999 }}{{ raise_exception('short') }}",
    "urlize": "{{ ('http://' + 'a.' * (9999999 * messages | length)) | urlize }}{{ raise_exception('short') }}",
    "slices": "{{ range(99999) | batch(1) | map('list') | map('string') | join('x' * 999999) }}",
    "surrogates": "{{ '\\ud800' }}",
}


HARMLESS = {
    "globals": "{{ raise_exception.__globals__ }}{{ tojson.__code__ }}",
    "class": "{{ ''.__class__ }}{{ messages.__class__ }}{{ '{0.__class__}'.format_map({'0': ''}) }}",
    "template": "{{ self._TemplateReference__context.environment }}{{ loop.__init__ }}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_fails_and_the_next_is_rendered(name: str) -> None:
    template = "{% if messages[0].content == 'bad' %}" + HOSTILE[name] + "{% else %}fine{% endif %}"
    renderer = Renderer(template, bos="", eos="", seconds=LIMIT_S, memory=MEMORY)
    try:
        renderer.check()
    except ModelFileError:
        renderer.close()
        return
    began = time.monotonic()
    outcome = render(renderer, [said("user", "bad")])
    took = time.monotonic() - began
    assert isinstance(outcome, (BadInput, ModelFailed)), repr(outcome)[:200]
    assert took < 10 * LIMIT_S
    assert len(outcome.message) < 700
    assert "/work" not in outcome.message
    assert render(renderer, [said("user", "good")]) == "fine"
    renderer.close()


@pytest.mark.parametrize("name", HARMLESS)
def test_what_a_template_may_not_see_is_not_there(name: str) -> None:
    renderer = Renderer(HARMLESS[name], bos="", eos="")
    outcome = render(renderer, [said("user", "hello")])
    assert outcome == "" or isinstance(outcome, PenstockError)
    renderer.close()


def test_only_the_guilty_conversation_fails() -> None:
    template = (
        "{% if messages[0].content == 'bad' %}" + HOSTILE["nested loops"] + "{% endif %}{{ messages[0].content }}"
    )
    renderer = Renderer(template, bos="", eos="", seconds=LIMIT_S)
    for id, content in enumerate(["a", "bad", "b", "bad", "c"]):
        renderer.start(id, [said("user", content)], None, {})
    outcomes = collect(renderer, 5)
    assert [outcomes[id] for id in (0, 2, 4)] == ["a", "b", "c"]
    for id in (1, 3):
        error = outcomes[id]
        assert isinstance(error, ModelFailed)
        assert "takes longer than 0.5 s" in error.message
    renderer.close()


def test_a_long_prompt_is_refused_as_the_inputs_fault() -> None:
    renderer = Renderer("{{ messages[0].content }}", bos="", eos="", longest=1000)
    error = render(renderer, [said("user", "a" * 1001)])
    assert isinstance(error, TooLarge)
    assert "1000 characters" in error.message
    assert render(renderer, [said("user", "a" * 1000)]) == "a" * 1000
    renderer.close()


def test_values_that_no_template_can_take() -> None:
    renderer = Renderer("{{ tools }}", bos="", eos="")
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for tools in ([{"a": 2**70}], [{"a": deep}], [{"a": object()}], [{"a": "\ud800"}]):
        assert isinstance(render(renderer, [], tools), PenstockError)
    assert render(renderer, [], [{"a": 1}]) == "[{'a': 1}]"
    renderer.close()
