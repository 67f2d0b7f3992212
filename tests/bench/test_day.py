"""The synthetic day: the same every time, as mixed as it says, and never of subjects that were learned from."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.router.providers import RIGHT, WRONG, large, small
from bench.router.replay import body
from bench.router.traffic import TENANTS, Question, day, halves
from bench.text.zipf import repeated

KNOWN = [Question(f"s{number % 10}", f"question {number}?", number % 2, 1) for number in range(3000)]


def test_the_same_day_every_time() -> None:
    assert day(KNOWN, 500, 0.4, seed=3) == day(KNOWN, 500, 0.4, seed=3)
    assert day(KNOWN, 500, 0.4, seed=3) != day(KNOWN, 500, 0.4, seed=4)


def test_it_is_as_mixed_as_it_says() -> None:
    made = day(KNOWN, 3000, 0.4, seed=1)
    again = repeated([KNOWN.index(asked.question) for asked in made])
    assert again == pytest.approx(0.4, abs=0.05)
    tenants = Counter(asked.tenant for asked in made)
    assert tenants["shop"] / len(made) == pytest.approx(TENANTS["shop"], abs=0.1)
    hours = [asked.hour for asked in made]
    assert hours == sorted(hours)
    assert Counter(hours)[14] > 4 * Counter(hours)[3]
    follows = [asked for asked in made if asked.earlier]
    assert len(follows) / len(made) == pytest.approx(0.25, abs=0.05)
    assert max(len(asked.earlier) for asked in made) <= 3


def test_other_subjects_are_asked_than_were_learned_from() -> None:
    learned, asked = halves(KNOWN, seed=1)
    assert len(learned) + len(asked) == len(KNOWN)
    assert not {q.subject for q in learned} & {q.subject for q in asked}


def test_too_few_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="only 10 are known"):
        day(KNOWN[:10], 500, 0.4, seed=1)


def test_the_providers_are_right_as_the_labels_say() -> None:
    from urllib.request import Request, urlopen

    import msgspec

    asked = day(KNOWN, 50, 0.4, seed=1)[-1]
    for make, right in ((small, asked.question.small), (large, asked.question.large)):
        with make(KNOWN) as provider:
            sent = msgspec.json.encode(body("route", asked))
            with urlopen(Request(f"{provider.url}/chat/completions", sent)) as answer:
                said = msgspec.json.decode(answer.read())
        assert said["choices"][0]["message"]["content"].startswith(RIGHT if right else WRONG)
        assert said["usage"]["completion_tokens"] > 60
