"""Everything: features, folds, comparison, the artifact and its report.

    python -m training.router --data train.csv.gz --out penstock/routing/complexity [--vectors vectors.npy]
    python -m training.router --fetch train.csv.gz        # writes the data from the public results

Needs scikit-learn; with --vectors (made by training.router.embed) the model for embeddings is learned too.
"""

from __future__ import annotations

import argparse
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.routing.complexity.artifact import Artifact, quantiles, write
from penstock.routing.complexity.judge import judge
from training.router import judging
from training.router.data import SUBJECTS, fetch, read
from training.router.learn import STRENGTH, Floats, Sample, estimates, learn, sample


def main() -> None:
    """Learn, judge, and write model.json and report.json."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--fetch", type=Path, help="where the data is to be written")
    what.add_argument("--data", type=Path, help="labelled questions, .csv or .csv.gz")
    options.add_argument("--vectors", type=Path, help="their embeddings, .npy")
    options.add_argument("--out", type=Path, default=Path("build/router"), help="folder of model.json and report.json")
    chosen = options.parse_args()
    if chosen.fetch:
        fetch(chosen.fetch, SUBJECTS)
        return
    found = sample(read(chosen.data), None if chosen.vectors is None else np.load(chosen.vectors))
    chosen.out.mkdir(parents=True, exist_ok=True)
    artifact, said = calibrated(found)
    write(artifact, chosen.out / "model.json")
    report = reported(found, said)
    table = {row["score"]: row["all"]["apgr"] for row in report["unseen subjects"]}
    about = {"made": date.today().isoformat(), "questions": len(found.data.prompt), "apgr on unseen subjects": table}
    write(msgspec.structs.replace(artifact, about=about), chosen.out / "model.json")
    written = json.dumps(report, indent=1)
    written = re.sub(r"\[\s+([-\d.]+),\s+([-\d.]+)\s+\]", r"[\1, \2]", written)
    (chosen.out / "report.json").write_text(written + "\n")
    print(written)


def calibrated(found: Sample) -> tuple[Artifact, dict[str, Any]]:
    """The model of all questions, with the quantiles that models had on subjects they never saw."""
    easy, sure, near = (np.zeros(len(found.data.prompt)) for _ in range(3))
    fold = judging.folds(found.data.subject)
    for each in range(judging.FOLDS):
        part, own = learn(found.of(fold != each)), fold == each
        easy[own], sure[own] = estimates(part, found.of(own))
        if found.vectors is not None:
            near[own] = estimates(part, found.of(own), vectors=True)[0]
    artifact = learn(found)
    vectors = artifact.vectors
    if vectors is not None:
        vectors = msgspec.structs.replace(vectors, quantiles=quantiles(near[sure > 0]))
    unsure = round(float(1 - sure.mean()), 4)
    made = msgspec.structs.replace(artifact, quantiles=quantiles(easy[sure > 0]), unsure=unsure, vectors=vectors)
    return made, {"easy": easy, "sure": sure > 0}


def reported(found: Sample, said: dict[str, Any]) -> dict[str, Any]:
    """The report: what was compared, on what, and how sure that is."""
    gain, maths = found.data.large - found.data.small, found.data.subject == "gsm8k"
    rows, hard = [], {}
    for name, score in judging.scores().items():
        if name == judging.WITH_VECTORS and found.vectors is None:
            continue
        hard[name] = judging.unseen(score, found)
        rows.append(_row(name, hard[name], gain, found, maths))
        last = np.array(judging.like_the_last(score, found))
        rows[-1]["drawn"] = {"mean": _rounded(last.mean(axis=0)), "spread": _rounded(last.std(axis=0))}
    gated = np.where(said["sure"], hard[judging.WITHOUT], np.inf)
    return {
        "questions": len(gain),
        "subjects": len(np.unique(found.data.subject)),
        "firmness of equal weights": STRENGTH,
        "unseen subjects": rows,
        "unsure on unseen subjects": round(float(1 - said["sure"].mean()), 4),
        "apgr with the gate": round(judge(gated, gain).apgr, 4),
        "calibration on unseen subjects": judging.calibration(said["easy"], found.lost),
    }


def _row(name: str, hard: Floats, gain: Floats, found: Sample, maths: Any) -> dict[str, Any]:
    subjects = found.data.subject
    return {
        "score": name,
        "all": {key: round(value, 4) for key, value in judge(hard, gain)._asdict().items()},
        "over questions": judging.intervals(hard, gain, subjects, whole=False),
        "over subjects": judging.intervals(hard, gain, subjects, whole=True),
        "mmlu apgr": round(judge(hard[~maths], gain[~maths]).apgr, 4),
        "gsm8k apgr": round(judge(hard[maths], gain[maths]).apgr, 4),
        "within subjects apgr": round(judging.within_subjects(hard, gain, subjects), 4),
    }


def _rounded(values: Floats) -> dict[str, float]:
    return dict(zip(("apgr", "cpt50", "cpt80"), (round(float(value), 4) for value in values), strict=True))


if __name__ == "__main__":
    main()
