"""What the demo does about its language model when something for it is missing, or wrong."""

from __future__ import annotations

import pytest
from rich.console import Console

from penstock.cli.demo import talking
from penstock.cli.demo.command import language
from penstock.config.ports import free_port


def test_without_its_packages_the_model_is_left_out_and_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "NEEDED", ("tokenizers", "a_package_that_is_not"))
    say = Console(record=True, width=200)
    assert language(say) == {}
    assert "needs a-package-that-is-not: pip install 'penstock[llm]'" in say.export_text()


def test_what_fails_is_told() -> None:
    said = talking.talk(f"http://127.0.0.1:{free_port()}")
    assert not any(one.good for one in said)
    assert len(talking.complaints(said)) == len(said) == len(talking.QUESTIONS)


def test_a_wrong_answer_is_told() -> None:
    wrong = talking.Said("Count from 1 to 3.", "1, 2, 3.", "1, 2.")
    assert talking.complaints([wrong]) == ["tiny: 'Count from 1 to 3.': '1, 2.' instead of '1, 2, 3.'"]
