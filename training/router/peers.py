"""What the estimate is compared with: scores of how hard a question is, higher is harder."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.router.data import Labelled

Floats = NDArray[np.floating[Any]]

KEYWORDS = (
    (
        0.30,
        r"step by step|think through|reason|analy[sz]e|explain why|prove|derive|evaluate|justify|compare|trade-?offs?",
    ),
    (0.25, r"function|class|algorithm|code|python|api|database|query|debug|implement|compile|regex"),
    (
        0.20,
        r"architecture|distributed|encryption|machine learning|protocol|theorem|statistic|probability|equation",
    ),
    (0.10, r"first\b.*\bthen|next|finally|after that|\b1\.|\bstep"),
    (-0.30, r"what is|what's|define|who is|when (?:was|did)|where is|how old|hello|hi\b|thanks|capital of|yes or no"),
)
"""Weights for words, as keyword routers have them: reasoning, code, technical terms, steps; simple questions."""


def chance(train: Labelled, test: Labelled) -> Floats:
    """No knowledge at all."""
    return np.random.default_rng(0).random(len(test.prompt))


def keywords(train: Labelled, test: Labelled) -> Floats:
    """A sum of weights for the words found, and a little for the length."""
    return np.array([_keyword_score(prompt) for prompt in test.prompt])


def _keyword_score(prompt: str) -> float:
    low = prompt.lower()
    found = sum(weight * min(1.0, len(re.findall(words, low)) / 2) for weight, words in KEYWORDS)
    return found + 0.10 * (min(len(prompt) / 4, 400) / 400 * 2 - 1)


def length(train: Labelled, test: Labelled) -> Floats:
    """The longer the harder."""
    return np.array([len(prompt) for prompt in test.prompt], dtype=float)


def tfidf(train: Labelled, test: Labelled) -> Floats:
    """TF-IDF of words, logistic regression of "the small model fails"."""
    return _tfidf(train, test, 1 - train.small)


def tfidf_gain(train: Labelled, test: Labelled) -> Floats:
    """The same, of "the small model fails and the large one does not"."""
    return _tfidf(train, test, train.large * (1 - train.small))


def _tfidf(train: Labelled, test: Labelled, y: Floats) -> Floats:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    rows = vectorizer.fit_transform(train.prompt)
    model = LogisticRegression(C=1.0, max_iter=300).fit(rows, y)
    return np.asarray(model.predict_proba(vectorizer.transform(test.prompt))[:, 1])


PEERS = {
    "random": chance,
    "keyword weights": keywords,
    "length": length,
    "TF-IDF + LR (small fails)": tfidf,
    "TF-IDF + LR (gain)": tfidf_gain,
}
