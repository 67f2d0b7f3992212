"""The files of examples/semantic_search, as its tests read them."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

SHOP = Path(__file__).parents[2] / "examples" / "semantic_search"
TOP = 10
SMALL = "a an and at be by for from i in is it me my no not of on or so that the to too what with"


def products() -> list[dict[str, Any]]:
    """The catalogue."""
    return [json.loads(line) for line in (SHOP / "catalogue.jsonl").read_text("utf-8").splitlines()]


def queries() -> list[dict[str, Any]]:
    """The queries, each with what it asks for."""
    return [json.loads(line) for line in (SHOP / "queries.jsonl").read_text("utf-8").splitlines()]


def module(name: str) -> Any:
    """A file of the example as a module."""
    spec = importlib.util.spec_from_file_location(f"shop_{name}", SHOP / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def recall(found: list[str], right: list[str]) -> float:
    """How many of the products that a query asks for are among the ids found; every thing has three products."""
    hits = sum(product.rpartition("-")[0] in right for product in found[:TOP])
    return hits / min(TOP, 3 * len(right))


def words(text: str) -> set[str]:
    """The words of a text, without the smallest ones, which say nothing."""
    return set(re.findall(r"[a-z0-9]+", text.lower())) - set(SMALL.split())


class Keywords:
    """A search by words: products that share the rarest words with the query."""

    def __init__(self) -> None:
        self._products = products()
        self._words = [words(f"{p['title']} {p['description']}") for p in self._products]
        self._known = Counter(word for words in self._words for word in words)

    def find(self, query: str) -> list[str]:
        """Ids of the best ten."""
        asked = words(query)

        def score(number: int) -> float:
            return sum(math.log(len(self._words) / self._known[word]) for word in asked & self._words[number])

        best = sorted(range(len(self._words)), key=score, reverse=True)[:TOP]
        return [self._products[number]["id"] for number in best]
