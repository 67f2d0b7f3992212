"""Questions taken apart, and what is counted in them."""

from __future__ import annotations

import math

import pytest

from penstock.routing.complexity.features import FEATURES, NAMES, features
from penstock.routing.complexity.logged import Logged
from penstock.routing.complexity.parts import taken_apart
from tests.routing.complexity import questions


def of(text: str) -> dict[str, float]:
    return dict(zip(NAMES, features(text), strict=True))


def test_options_are_told_from_the_question() -> None:
    question = taken_apart("Which is a fruit?\nA. stone\nB. an apple. B\n(C) sand\nd) iron\nAnswer:")
    assert question.stem == "Which is a fruit?"
    assert question.options == ("stone", "an apple. B", "sand", "iron")


@pytest.mark.parametrize(
    "text",
    [
        "What did A. Smith write?\nHe was born in 1723.",
        "B. first\nC. second\nD. third",
        "A. only one option",
        "Is this\nA. one\nC. three?",
    ],
)
def test_lines_that_do_not_count_up_from_a_are_no_options(text: str) -> None:
    assert taken_apart(text).options == ()


def test_the_last_options_are_the_question() -> None:
    text = "Example:\nA. x\nB. y\nNow you: which is red?\nA. blood\nB. grass\nC. sky"
    assert taken_apart(text).options == ("blood", "grass", "sky")


def test_a_question_without_options_has_none_of_their_features() -> None:
    row = features("What is the capital of France?")
    assert [feature.name for feature, value in zip(FEATURES, row, strict=True) if math.isnan(value)] == [
        feature.name for feature in FEATURES if feature.choice
    ]


def test_features_see_what_they_are_named_for() -> None:
    story = of(questions.HARD[0])
    assert story["word_problem"] > 0
    assert story["conditions"] == 1
    assert story["numbers"] > 1
    assert of("Which is NOT a fruit?")["shouted_negation"] == 1
    assert of("The powerhouse of the cell is the ____.")["blank"] == 1
    assert of('This refers to the following passage.\n"' + "x " * 200 + '"\nWhat follows?')["passage"] == 2
    alike = of("Which?\nA. it is not so\nB. it is so\nC. it was not so\nD. it was so")
    apart = of("Which?\nA. stone\nB. river\nC. mountain\nD. cloud")
    assert alike["option_likeness"] > 0.4 > apart["option_likeness"] == 0
    assert alike["option_negation"] == 1
    assert apart["option_single"] == 1


def test_long_texts_are_looked_at_from_both_ends() -> None:
    row = of("If this holds, then " + "word " * 50_000 + "what is 2 + 2?")
    assert row["conditions"] == 1
    assert row["symbols"] > 0


def test_what_is_logged_reads_back_and_holds_no_word() -> None:
    kept = Logged(1, features(questions.HARD[1]), ("holds code",)).written()
    again = Logged.read(kept)
    assert again.row == pytest.approx(features(questions.HARD[1]), abs=1e-4, nan_ok=True)
    assert again.unsure == ("holds code",)
    assert "Statement" not in kept
    without = Logged.read(Logged(1, features("What is it?")).written())
    assert math.isnan(without.row[-1])


@pytest.mark.parametrize("text", ["", "{}", "null", '{"v":1,"x":[1]}', '{"v":99,"x":[]}', "[" * 100_000, "\udcff"])
def test_what_nobody_logged_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="features"):
        Logged.read(text.encode("utf-8", "surrogatepass"))
