"""The labelled questions: which of two models answered each of them correctly."""

from __future__ import annotations

import csv
import gzip
import io
import urllib.request
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COMMIT = "0b64fda"
SOURCE = f"https://raw.githubusercontent.com/lm-sys/RouteLLM/{COMMIT}/routellm/evals"
"""Public (Apache-2.0), with questions of MMLU and GSM8K (both MIT)."""
SMALL, LARGE = "mixtral-8x7b-instruct-v0.1", "gpt-4-1106-preview"

SUBJECTS: list[str] = [
    "abstract_algebra",
    "anatomy",
    "college_computer_science",
    "college_mathematics",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_european_history",
    "high_school_geography",
    "high_school_macroeconomics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_sexuality",
    "jurisprudence",
    "logical_fallacies",
    "management",
    "marketing",
    "medical_genetics",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
]
"""Of MMLU, those that the estimator learns from; the others judge it."""


class Labelled(NamedTuple):
    """Questions, the subject of each, and whether the small and the large model answered it correctly (0 or 1)."""

    subject: NDArray[np.str_]
    prompt: list[str]
    small: NDArray[np.float64]
    large: NDArray[np.float64]

    def of(self, chosen: NDArray[np.bool_]) -> Labelled:
        """Some of the questions."""
        prompts = [self.prompt[place] for place in np.flatnonzero(chosen)]
        return Labelled(self.subject[chosen], prompts, self.small[chosen], self.large[chosen])


def read(path: Path) -> Labelled:
    """A CSV file (also .gz) with the columns subject, prompt, small_correct, large_correct."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    return Labelled(
        np.array([row["subject"] for row in rows]),
        [row["prompt"] for row in rows],
        np.array([float(row["small_correct"]) for row in rows]),
        np.array([float(row["large_correct"]) for row in rows]),
    )


def fetch(to: Path, subjects: list[str]) -> None:
    """Writes such a file from the public results: MMLU's `subjects`, and GSM8K."""
    with gzip.open(to, "wt", newline="") as file:
        out = csv.writer(file)
        out.writerow(["subject", "prompt", "small_correct", "large_correct"])
        for subject in subjects:
            out.writerows(_labelled(f"mmlu/{subject}", f"{SOURCE}/mmlu/responses/mmlu_{subject}.csv"))
        out.writerows(_labelled("gsm8k", f"{SOURCE}/gsm8k/gsm8k_responses.csv"))


def _labelled(subject: str, url: str) -> list[list[str | int]]:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 (the address is a constant of this file)
        rows = list(csv.DictReader(io.TextIOWrapper(answer, "utf-8")))
    return [[subject, row["prompt"], *(_right(row, model) for model in (SMALL, LARGE))] for row in rows]


def _right(row: dict[str, str], model: str) -> int:
    """Whether a model was right; its column may carry its maker's name before its own."""
    column = next(name for name in row if name.lower().endswith(model))
    return int(row[column].strip().lower() == "true")
