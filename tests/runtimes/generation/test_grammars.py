"""Grammars put together: the free text of one never holds the mark that begins what follows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.generation.grammars import after_thoughts, either, perhaps

PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"|(\[(?:[^\]\\]|\\.)*\])|([A-Za-z][\w-]*)|([()|*+?])|\s+')
ESCAPED = re.compile(r"\\(.)")
MARKS = ["</think>", "<tool_call>", "<|python_tag|>", "[TOOL_CALLS]"]


def unescaped(found: re.Match[str]) -> str:
    return found[1]


def matcher(grammar: str) -> re.Pattern[str]:
    """A grammar without recursion as a regular expression."""
    rules = dict(line.split(" ::= ", 1) for line in grammar.strip().splitlines())

    def expand(body: str) -> str:
        out = ""
        for found in PIECE.finditer(body):
            quoted, group, name, sign = found.groups()
            if quoted is not None:
                out += f"(?:{re.escape(ESCAPED.sub(unescaped, quoted))})"
            elif name:
                out += f"(?:{expand(rules[name])})"
            else:
                out += group or sign or ""
        return out

    return re.compile(expand(rules["root"]), re.DOTALL)


@pytest.mark.parametrize("mark", MARKS)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_free_text_never_holds_the_mark(mark: str, data: st.DataObject) -> None:
    grammar = matcher(perhaps('root ::= "!"', mark, bare=False))
    parts = st.sampled_from([mark[:length] for length in range(1, len(mark) + 1)] + list("x </é"))
    text = "".join(data.draw(st.lists(parts, max_size=6)))
    if grammar.fullmatch(text):
        assert mark not in text
    elif mark not in text:
        begun = [mark[:length] for length in range(2, len(mark))]
        assert any(f"{beginning}{mark[0]}" in text + mark[0] for beginning in begun)


def test_ordinary_text_is_free() -> None:
    for mark in MARKS:
        grammar = matcher(perhaps('root ::= "!"', mark, bare=False))
        for text in ("", "a < b, [1] and <b>bold</b>", "if a <tool> and [TOOLS] </thin> <|x|> é🦊\n", "text!"):
            assert grammar.fullmatch(text), (mark, text)


def test_bare_calls_are_text_or_calls() -> None:
    grammar = matcher(perhaps('root ::= "{call}"', "<|python_tag|>", bare=True))
    assert all(grammar.fullmatch(text) for text in ("", "{call}", "so {x}", " <b>", "\n\nyes"))
    assert not any(grammar.fullmatch(text) for text in ("{x}", " {x}", "{call} and", "<|python_tag|>x"))


def test_thoughts_come_first() -> None:
    answer = 'root ::= "{" item "}"\nitem ::= [a-c"\\]]\n'
    opened, closed = (matcher(after_thoughts(answer, opened=opened)) for opened in (True, False))
    assert opened.fullmatch("I <b> think.\n</think>\n\n{a}")
    assert closed.fullmatch("<think>so</think>{]}")
    assert closed.fullmatch("{b}")
    for text in ("{a}", "a</think>b</think>{a}", "a</think>{d}"):
        assert not opened.fullmatch(text)
    for text in ("a</think>{a}", "<think>{a}", "<think></think>a{a}"):
        assert not closed.fullmatch(text)


def test_names_of_rules_do_not_meet() -> None:
    grammar = matcher(either('root ::= item\nitem ::= "root"', "root ::= item+\nitem ::= [root]"))
    assert grammar.fullmatch("root")
    assert grammar.fullmatch("toor")
    assert not grammar.fullmatch("item")
