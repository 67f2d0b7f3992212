"""What a question looks like, in numbers that mean the same whatever it is about."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import NamedTuple

from penstock.routing.complexity import words as vocabulary
from penstock.routing.complexity.parts import Question, taken_apart, words

_NUMBER = re.compile(r"\d[\d,.]*")
_SYMBOL = re.compile(r"[=+^*/<>\\|∑∫√≤≥→±∨∧⊃≡~∀∃]")
_ROMAN = re.compile(r"I{1,3}\.? (?:and|or|only)\b|II\b")
_NUMBERED = re.compile(r"\w+")
_ABSTRACT = ("tion", "sion", "ity", "ism", "ence", "ance", "ment", "osis", "itis", "ology", "ous", "ive", "ical")
SHOUTED = ("NOT", "EXCEPT", "LEAST", "FALSE", "INCORRECT")
DEFINING = ("is called", "known as", "refer to", "refers to", "referred to", "name of")
SOURCES = ("information", "passage", "text", "excerpt", "article", "source")
_QUOTE = re.compile(r"[\"“”]")
LONG_QUOTE = 250
"""Characters from which a quotation is a source."""


class Feature(NamedTuple):
    """A number that describes a question. `sign`: +1 where more of it makes small models fail where large ones do not,
    -1 where less does: said before any data was seen, from `reason`. `choice`: only questions with options have it."""

    name: str
    sign: int
    choice: bool
    reason: str


FEATURES = (
    Feature("length", +1, False, "words of the question, up to 80 (logarithm): more to keep in mind"),
    Feature("sentences", +1, False, "its sentences (logarithm): a situation, not a fact"),
    Feature("conditions", +1, False, "it sets a condition: if, unless, suppose, because"),
    Feature("condition_share", +1, False, "share of words that set conditions"),
    Feature("symbols", +1, False, "mathematical and logical signs (logarithm)"),
    Feature("numbers", +1, False, "numbers in it (logarithm): quantities to combine"),
    Feature("arithmetic", +1, False, "words of reckoning: how many, each, total, per"),
    Feature("word_problem", +1, False, "people, numbers and reckoning together: several steps"),
    Feature("comparison", +1, False, "quantities compared (logarithm): more, less, higher than"),
    Feature("negation", +1, False, "a negation somewhere"),
    Feature("shouted_negation", +1, False, "NOT, EXCEPT, LEAST in capitals: the odd one out is wanted"),
    Feature("truth", +1, False, "statements to be judged true or false"),
    Feature("numbered", +1, False, "statements by Roman numbers: several judgements in one"),
    Feature("people", +1, False, "share of personal pronouns: a story to follow"),
    Feature("definition", -1, False, "asks for a term or its meaning: recall"),
    Feature("blank", -1, False, "a gap to fill: recall"),
    Feature("begins_asking", -1, False, "begins with its question word: one short question"),
    Feature("asks_what", -1, False, "asks what: a fact"),
    Feature("long_words", -1, False, "share of words over 8 letters: the subject's terms, which point at the answer"),
    Feature("abstract_nouns", -1, False, "share of words in -tion, -ity, -ism: concepts, not calculation"),
    Feature("passage", -1, False, "brings its source along: the answer is to be read there"),
    Feature("option_likeness", +1, True, "words that the options share: small differences decide"),
    Feature("option_starts", +1, True, "options that begin alike"),
    Feature("option_negation", +1, True, "an option denies something"),
    Feature("option_verdict", +1, True, "options say true, false, yes, no, wrong, right"),
    Feature("option_reasons", +1, True, "options give reasons or conditions"),
    Feature("option_quantifiers", +1, True, "share of all, some, only, most in the options"),
    Feature("option_symbols", +1, True, "mathematical signs in the options (logarithm)"),
    Feature("option_single", -1, True, "share of options of at most one word: a name to recall"),
    Feature("option_word_length", -1, True, "mean length of the options' words"),
    Feature("option_abstract", -1, True, "share of abstract nouns in the options"),
)
NAMES = tuple(feature.name for feature in FEATURES)
VERSION = 1
"""Of the meaning of the features; logged ones of another version are not mixed with these."""


def features(text: str) -> list[float]:
    """A text's features, in the order of `FEATURES`; NaN for those of options where there are none."""
    return features_of(taken_apart(text))


def features_of(question: Question) -> list[float]:
    """The same for a question that was taken apart."""
    return [*_of_stem(question), *_of_options(question.options)]


def _of_stem(question: Question) -> list[float]:
    stem, said = question.stem, question.words
    low, size, counts = stem.lower(), max(1, len(said)), Counter(said)
    numbers, conditions = _numbers(stem), _count(counts, vocabulary.CONDITION)
    reckoning, people = _count(counts, vocabulary.ARITHMETIC), _count(counts, vocabulary.PERSON)
    worded = math.log1p(min(numbers, 6)) if reckoning > size / 20 and people else 0.0
    return [
        math.log(min(size, 80)),
        math.log(max(1, stem.count(". ") + stem.count("? ") + stem.count("! ") + stem.rstrip().endswith((".", "?")))),
        float(conditions > 0),
        conditions / size,
        math.log1p(len(_SYMBOL.findall(stem))),
        math.log1p(numbers),
        float(reckoning > 0),
        worded,
        math.log1p(_count(counts, vocabulary.COMPARED) + _comparatives(said)),
        float(not counts.keys().isdisjoint(vocabulary.NEGATION)),
        float(any(word in stem for word in SHOUTED)),
        float(not counts.keys().isdisjoint(vocabulary.TRUTH)),
        float(_ROMAN.search(stem) is not None),
        people / size,
        float(any(words in low for words in DEFINING) or not counts.keys().isdisjoint(vocabulary.DEFINITION)),
        float("__" in stem),
        float(said[:1] != () and said[0] in vocabulary.QUESTION),
        float("what" in counts),
        sum(len(word) > 8 for word in said) / size,
        sum(word.endswith(_ABSTRACT) for word in said if len(word) > 5) / size,
        float(_brings_source(low, counts)) + any(len(part) >= LONG_QUOTE for part in _QUOTE.split(stem)[1::2]),
    ]


def _numbers(stem: str) -> int:
    """Numbers that are no part of a name such as H2O."""
    return sum(not stem[max(0, match.start() - 1)].isalpha() for match in _NUMBER.finditer(stem))


def _comparatives(said: tuple[str, ...]) -> int:
    """How often something is said to be ...er than something else."""
    if "than" not in said:
        return 0
    return sum(word == "than" and before.endswith("er") for before, word in pairwise(said))


def _brings_source(low: str, counts: Counter[str]) -> bool:
    return "passage" in counts or "excerpt" in counts or any(f"following {word}" in low for word in SOURCES)


def _of_options(options: tuple[str, ...]) -> list[float]:
    if not options:
        return [math.nan] * sum(feature.choice for feature in FEATURES)
    tokens = [_NUMBERED.findall(option.lower()) for option in options]
    spoken = [words(option) for option in options]
    together = [word for option in spoken for word in option]
    size, counts = max(1, len(together)), Counter(together)
    return [
        _likeness([set(option) for option in tokens]),
        1 - len({option[0] if option else "" for option in tokens}) / len(tokens),
        float(not counts.keys().isdisjoint(vocabulary.NEGATION)),
        float(not counts.keys().isdisjoint(vocabulary.VERDICT)),
        float(not counts.keys().isdisjoint(vocabulary.REASON)),
        _count(counts, vocabulary.QUANTIFIER) / size,
        math.log1p(sum(len(_SYMBOL.findall(option)) for option in options)),
        sum(len(option) <= 1 for option in spoken) / len(options),
        sum(map(len, together)) / size,
        sum(word.endswith(_ABSTRACT) for word in together if len(word) > 5) / size,
    ]


def _count(counts: Counter[str], kind: frozenset[str]) -> int:
    return sum(counts[word] for word in counts.keys() & kind)


def _likeness(sets: list[set[str]]) -> float:
    """The mean Jaccard likeness of all pairs."""
    pairs = [(a, b) for place, a in enumerate(sets) for b in sets[:place]]
    return sum(len(a & b) / max(1, len(a | b)) for a, b in pairs) / max(1, len(pairs))
