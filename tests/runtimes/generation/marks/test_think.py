"""Thoughts at the beginning of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.runtimes.generation.marks.think import Thoughts
from tests.runtimes.generation.marks.cutting import same_however_cut


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("<think>\nI see.\n</think>\n\nYes.", False, [("Thought", "I see."), ("Said", "Yes.")]),
        (" \n<think>a b</think>c", False, [("Thought", "a b"), ("Said", "c")]),
        ("<think>\n\n</think>\n\nYes. ", False, [("Said", "Yes. ")]),
        ("I see.\n</think>\n\nYes.", True, [("Thought", "I see."), ("Said", "Yes.")]),
        ("never </thin an end ", True, [("Thought", "never </thin an end")]),
        ("<think>cut </th", False, [("Thought", "cut </th")]),
        ("no <think>thoughts</think>", False, [("Said", "no <think>thoughts</think>")]),
        (" <thin", False, [("Said", " <thin")]),
        ("a</think>b</think> <think>c", True, [("Thought", "a"), ("Said", "b</think> <think>c")]),
        ("  ", False, [("Said", "  ")]),
        ("", True, []),
    ],
)
def test_thoughts(text: str, opened: bool, expected: list[Any]) -> None:
    assert same_however_cut(lambda: [Thoughts(opened=opened)], text, []) == expected
