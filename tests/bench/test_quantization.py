"""The quantization part: its data, its command line, and a report that hides nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.quantization import report
from bench.quantization.measure import Source, quantize, write_catalogue
from bench.quantization.reviews import LABELS, reviews
from bench.results import Quantized, Results


def told(loss: float) -> dict[str, Any]:
    """A report as `penstock quantize --json` gives it."""
    speeds = {"p50_ms": 2.0, "p99_ms": 3.0, "rows_per_s": 400.0, "batch": 32}
    figures = {"cosine_median": 1 - loss}
    quality = {"task": "embedding", "loss": loss, "measure": "1 - median cosine", "rows": 243, "figures": figures}
    return {
        "before": "fp32 on OpenVINO",
        "method": "as it goes",
        "size": {"before": 90_000_000, "after": 23_000_000},
        "measured": {"quality": quality, "before": speeds, "after": {**speeds, "p50_ms": 1.0, "rows_per_s": 1000.0}},
    }


def test_a_loss_above_one_percent_is_marked_and_a_refusal_is_told() -> None:
    found = [
        Quantized("MiniLM", "int8", told(0.0099)),
        Quantized("MiniLM", "int4", told(0.0101)),
        Quantized("MiniLM", "bf16", refused="this processor does not compute in bf16"),
    ]

    page = report.section(Results({"CPU": "some"}, 1, 1), found)

    assert (
        "| int8 | 90.0 → 23.0 MB | 2.00 → 1.00 ms | 400 → 1,000 | 2.50 | 243 | cosine median 0.9901 | 0.99% | yes |"
        in page
    )
    assert "| 1.01% | **no** |" in page
    assert "- bf16: this processor does not compute in bf16." in page
    assert "**MiniLM**: beside fp32 on OpenVINO; the loss is 1 - median cosine." in page


def test_what_the_command_refuses_is_kept_with_its_reason(tmp_path: Path) -> None:
    source = Source("nothing", tmp_path / "nothing.onnx", tmp_path / "nothing.txt")

    seen = quantize(source, "int8", ["--precision", "int8"], tmp_path, 0.1)

    assert not seen.report
    assert "nothing.onnx" in seen.refused


def test_reviews_are_of_both_kinds_and_always_the_same() -> None:
    rows = reviews(1000, seed=1)

    counts = Counter(label for _, label in rows)
    assert set(counts) == set(LABELS)
    assert min(counts.values()) > 400
    assert reviews(1000, seed=1) == rows
    assert reviews(1000, seed=2) != rows


@pytest.mark.parametrize("opinion", ["broken", "great"])
def test_a_doubt_turns_an_opinion_round(opinion: str) -> None:
    alone = [(text, label) for text, label in reviews(3000, seed=3) if text.count(",") == 1 and text.endswith(opinion)]
    labels = {text.endswith(f"not {opinion}"): label for text, label in alone}

    assert labels == {False: LABELS[opinion == "great"], True: LABELS[opinion != "great"]}


def test_the_catalogue_is_one_text_per_product(tmp_path: Path) -> None:
    lines = write_catalogue(tmp_path / "catalogue.txt").read_text().splitlines()

    assert len(set(lines)) == len(lines) > 300
    assert all(". " in line for line in lines)
