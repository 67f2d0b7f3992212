"""The shop, run as its reader would run it: both models, the page, and searches over HTTP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import urllib3

import penstock
from penstock.config.ports import free_port
from tests.examples.shop import SHOP, Keywords, module, products, queries, recall, words
from tests.servers import alive, children, eventually, together


@dataclass
class Shop:
    """A running example: its process, its page's address, and the server's."""

    process: subprocess.Popen[str]
    page: str
    models: str

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """One request to the page's server."""
        return urllib3.request("GET", self.page + path, timeout=30)

    def search(self, query: str) -> Any:
        """What a query finds, as the page sees it."""
        answer = urllib3.request("GET", f"{self.page}/search", fields={"q": query}, timeout=30)
        assert answer.status == 200, answer.data
        return answer.json()["outputs"][0]


def start(cache: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(SHOP / "run.py"), *arguments]
    environment = {**os.environ, "PENSTOCK_CACHE": str(cache)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture(scope="module")
def shop(minilm_cache: Path) -> Iterator[Shop]:
    process = start(minilm_cache, "--port", "0")
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("Starting")
        found = re.fullmatch(r"Search at (\S+)   \(the models: (\S+)/docs\) .*\n", process.stdout.readline())
        assert found, process.communicate(timeout=30)
        yield Shop(process, found[1], found[2])
        servers = children(process.pid)
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "Stopped.\n"), complaints
        eventually(lambda: not any(alive(pid) for pid in servers), "the server outlived the example")
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_it_finds_what_has_no_word_in_common_with_the_query(shop: Shop) -> None:
    query = "stop the cat from ruining the couch"
    found = shop.search(query)
    assert found["id"][0].startswith("scratching-post")
    assert words(query).isdisjoint(words(f"{found['title'][0]} {found['description'][0]}"))
    assert len(found["title"]) == 10
    assert found["score"] == sorted(found["score"], reverse=True)


def test_meaning_beats_words(shop: Shop) -> None:
    asked, keywords = queries(), Keywords()
    with penstock.Client(shop.models) as client:
        answers = client.predict([query["query"] for query in asked], model="search", outputs=["id"])
    by_meaning = fmean(recall(found, query["right"]) for found, query in zip(answers, asked, strict=True))
    by_words = fmean(recall(keywords.find(query["query"]), query["right"]) for query in asked)
    assert by_meaning > 0.75
    assert by_meaning > by_words + 0.4


def test_a_hit_is_a_product_as_the_catalogue_has_it(shop: Shop) -> None:
    known = {product["id"]: product for product in products()}
    found = shop.search("first fish tank")
    for at, name in enumerate(found["id"]):
        assert {field: found[field][at] for field in known[name]} == known[name]


def test_the_page_comes_whole(shop: Shop) -> None:
    page = shop.get("/")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.data == (SHOP / "page.html").read_bytes()
    assert shop.get("/elsewhere").status == 404


def test_the_page_sees_times_and_the_cache(shop: Shop) -> None:
    def ask() -> Mapping[str, str]:
        return shop.get("/search?q=asked+twice").headers

    assert "compute;dur=" in ask()["Server-Timing"]
    assert ask()["X-Penstock-Cached"] == "1/1"


def test_refusals_reach_the_page(shop: Shop) -> None:
    refused = shop.get("/search?q=" + "long+" * 600)
    assert refused.status == 400
    assert "the model reads at most 256" in refused.json()["error"]["message"]
    assert shop.search("")["id"]


def test_many_search_at_once(shop: Shop) -> None:
    asked = [query["query"] for query in queries()]
    alone = [shop.search(query)["id"][0] for query in asked[:5]]
    crowd = together([lambda query=query: shop.search(f"{query} ")["id"] for query in asked])  # type: ignore[misc]
    assert all(len(found) == 10 for found in crowd)
    assert [found[0] for found in crowd[:5]] == alone


def test_embeddings_are_kept_and_not_believed_blindly(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path))
    search = module("search").Search()
    search.server, search.products = penstock.Client(shop.models), products()[:20]
    made = search.catalogue_embeddings("d" * 64)
    [file] = tmp_path.rglob("*.npy")
    written = file.stat().st_mtime_ns
    assert np.array_equal(search.catalogue_embeddings("d" * 64), made)
    assert file.stat().st_mtime_ns == written
    np.save(file, made[::-1])  # what another model might say of these products
    np.testing.assert_allclose(search.catalogue_embeddings("d" * 64), made, atol=1e-5)
    np.testing.assert_allclose(np.load(file), made, atol=1e-5)


def test_the_search_says_that_the_embedding_model_is_away() -> None:
    search = module("search").Search()
    search.server = penstock.Client(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(penstock.Unavailable) as refusal:
        search.embed(["anything"], 1000)
    assert refusal.value.message == "the embedding model does not answer; try again shortly"


def test_once_asks_and_ends(minilm_cache: Path) -> None:
    """The second start in this module: the converted model and the catalogue's embeddings are there by now."""
    process = start(minilm_cache, "--once")
    said, complaints = process.communicate(timeout=100)
    assert process.returncode == 0, complaints
    assert re.search(r"coffee hot on the train   \d+ ms\n  0\.\d\d  Thermos flask", said), said
    assert len(re.findall(r"^  0\.\d\d  .*€\d+\.\d\d$", said, re.MULTILINE)) == 15
    assert len(list((minilm_cache / "semantic_search").glob("*.npy"))) == 1
