"""The shop's catalogue, its queries and its page, as files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from penstock.cli.demo import searching
from tests.examples.shop import SHOP, module, products, queries


def test_the_catalogue_is_what_its_vocabulary_makes() -> None:
    import yaml

    made = module("catalogue").products(yaml.safe_load((SHOP / "vocabulary.yaml").read_text("utf-8")))
    assert list(made) == products()


def test_the_catalogue_is_a_shops() -> None:
    goods = products()
    assert 400 <= len(goods) <= 600
    assert len({product["id"] for product in goods}) == len({p["description"] for p in goods}) == len(goods)
    assert min(Counter(product["category"] for product in goods).values()) >= 30
    for product in goods:
        assert list(product) == ["id", "title", "description", "category", "price"]
        assert 3 < product["price"] < 1000
        assert re.fullmatch(r"[A-Z].{20,200}\.", product["description"]), product


def test_every_query_asks_for_something_that_there_is() -> None:
    things = {product["id"].rpartition("-")[0] for product in products()}
    asked = queries()
    assert 30 <= len(asked) <= 50
    assert len({query["query"] for query in asked}) == len(asked)
    assert all(query["right"] and things.issuperset(query["right"]) for query in asked)


def test_the_demo_has_no_copy_of_its_own() -> None:
    assert searching.SHOP.resolve() == SHOP


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = (SHOP / "page.html").read_text("utf-8")
    assert not re.search(r"https?:|//cdn|@import|url\(|<script src|<link[^>]*stylesheet|innerHTML", page)


def test_the_pages_script_can_be_parsed(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    scripts = re.findall(r"<script>(.*?)</script>", (SHOP / "page.html").read_text("utf-8"), re.DOTALL)
    assert len(scripts) == 1
    (tmp_path / "page.js").write_text(scripts[0], "utf-8")
    checked = subprocess.run([node, "--check", tmp_path / "page.js"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_the_catalogues_lines_are_json_for_people() -> None:
    first = (SHOP / "catalogue.jsonl").read_text("utf-8").splitlines()[0]
    assert json.loads(first)["title"] == "Thermos flask, 0.5 litre steel"
