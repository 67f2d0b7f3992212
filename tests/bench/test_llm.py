"""The bench of language models: what it reads of Penstock, and that no part's failure loses another's figures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import machine
from bench.contestant import Absent
from bench.llm import __main__ as bench_llm
from bench.llm import measure
from bench.llm.measure import Measured
from bench.llm.report import LOAD_GENERATOR, PARTS, section, section_name


def test_the_estimate_of_the_tiny_model() -> None:
    pytest.importorskip("openvino_genai")
    assert 10**6 < measure.estimate(bench_llm.TINY, 4) < 10**9


def test_the_memory_of_the_tiny_model(tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    measured = Measured()
    measure.memory({"tiny": bench_llm.TINY}, tmp_path, measured)
    assert [(each.model, each.sequences) for each in measured.memory] == [("tiny", 1), ("tiny", 16)]
    assert all(each.resident > 10**7 for each in measured.memory)
    assert "| tiny | 16 |" in section("memory", measured, {})


def test_each_part_is_written_as_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Results\n")

    def lookup(model: Path, text: str, folder: Path, measured: Measured, rounds: int) -> None:
        measured.lookup = (100.0, 200.0, True)

    def fails(*_: object) -> None:
        raise RuntimeError("a machine that is too small")

    monkeypatch.setattr(measure, "lookup", lookup)
    monkeypatch.setattr(measure, "memory", fails)
    monkeypatch.setattr(bench_llm, "random_llamas", dict)
    monkeypatch.setattr(bench_llm, "end_cleanly_on_sigterm", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bench.llm", "--parts", "memory", "lookup", "--page", str(page)])
    with pytest.raises(RuntimeError, match="too small"):
        bench_llm.main()
    assert "200 tokens/s instead of 100, same text: 2.00× (target 1.3)" in page.read_text()
    assert LOAD_GENERATOR in page.read_text()
    assert "Language models, memory" not in page.read_text()


def test_a_part_that_cannot_be_measured_keeps_its_old_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("old")

    def absent(*_: object) -> None:
        raise Absent("no such server")

    monkeypatch.setattr(measure, "lookup", absent)
    monkeypatch.setattr(bench_llm, "end_cleanly_on_sigterm", lambda: None)
    monkeypatch.setattr(sys, "argv", ["bench.llm", "--parts", "lookup", "--page", str(page)])
    bench_llm.main()
    assert page.read_text() == "old"


def test_the_page_has_a_place_for_every_part() -> None:
    page = bench_llm.PAGE.read_text()
    assert all(f"<!-- {section_name(part)}: generated, do not edit -->" in page for part in PARTS)


def test_wrk_is_asked_for_only_by_those_who_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert machine.describe("sockets")["load generator"] == "sockets"
