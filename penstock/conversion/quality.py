"""How much worse the answers became: one loss per task, 0 for the same answers, 1 for the worst.

| answers | loss |
| --- | --- |
| embeddings, and tensors of no known meaning | 1 − median cosine similarity, row by row |
| classes | 1 − share of rows with the same class; with labels: accuracy before − accuracy after |
| scores of pairs (rerankers) | share of pairs of rows whose order by score has changed |
| numbers | error relative to the answers' own spread (RMSE / standard deviation); with labels: R² before − R² after |
| entities | 1 − F1 of the entities after, taken those before for the truth |
| masked words | 1 − share of rows with the same best candidate |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock.core.errors import ConfigError
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array
from penstock.core.text import CANDIDATES, EMBEDDING, ENTITIES, LABEL, SCORE

NEIGHBOURS = 10
_SCORES = ("logit", "prob", "score", "class", "label", "softmax")


class Loss(NamedTuple):
    """`task`: what was compared; `value`: the loss; `measure`: which one, for people; `figures`: the rest."""

    task: str
    value: float
    measure: str
    figures: dict[str, float]


Outputs = dict[str, Array]


def loss(signature: Signature, before: Outputs, after: Outputs, labels: Sequence[str] | None) -> Loss:
    """Compares two versions' answers to the same rows; `labels` are the right ones, where they are known."""
    known = _BY_TASK.get(signature.task)
    if known is not None:
        name, compare = known
        return compare(before[name], after[name], labels)
    name, compare = _by_output(signature, before)
    return compare(before[name], after[name], labels)


def embeddings(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Cosine similarity of every row [rows, D] with itself, and how many of its nearest neighbours stay."""
    cosines = cosine(before, after)
    median = float(np.median(cosines))
    figures = {"cosine_median": median, "cosine_min": float(cosines.min())}
    if len(before) > 2 * NEIGHBOURS:
        figures["top10_overlap"] = overlap(before, after)
    return Loss("embedding", _bounded(1 - median), "1 - median cosine similarity", figures)


def tensors(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Cosine similarity of every row, whatever its shape."""
    rows = len(before)
    found = embeddings(before.reshape(rows, -1), after.reshape(rows, -1))
    figures = {name: value for name, value in found.figures.items() if name.startswith("cosine")}
    return found._replace(task="tensor", figures=figures)


def classes(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Classes [rows], as texts, integers, or the scores of all classes [rows, C]."""
    ours, theirs = _class_names(before), _class_names(after)
    agreement = _share(ours, theirs)
    if labels is None:
        return Loss("classification", 1 - agreement, "1 - label agreement", {"label_agreement": agreement})
    _check_known(labels, {*ours, *theirs})
    right = (_share(ours, labels), _share(theirs, labels))
    figures = {"label_agreement": agreement, "accuracy_before": right[0], "accuracy_after": right[1]}
    return Loss("classification", _bounded(right[0] - right[1]), "accuracy before - accuracy after", figures)


def _check_known(labels: Sequence[str], answers: set[str]) -> None:
    """Raises `ConfigError` when the labels are not the model's classes: then no accuracy can fall."""
    if not answers & set(labels):
        known, given = (", ".join(sorted(names)[:5])[:200] for names in (answers, set(labels)))
        raise ConfigError(f"the data's labels ({given}) are none of the classes that the model answers ({known})")


def ranks(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Scores [rows]: the order of all pairs of rows that were not as good as equal."""
    first, second = np.triu_indices(len(before), 1)
    gaps = (before[first] - before[second], after[first] - after[second])
    clear = np.abs(gaps[0]) > 1e-3 * (np.ptp(before) or 1.0)
    changed = float(np.mean(np.sign(gaps[0][clear]) != np.sign(gaps[1][clear]))) if clear.any() else 0.0
    figures = {"order_kept": 1 - changed, "score_difference_mean": float(np.abs(before - after).mean())}
    return Loss("reranking", changed, "share of pairs in another order", figures)


def numbers(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Numbers [rows] or [rows, 1]."""
    ours, theirs = (np.asarray(values, np.float64).reshape(-1) for values in (before, after))
    spread = float(np.std(ours)) or float(np.abs(ours).max()) or 1.0
    error = float(np.sqrt(np.mean((ours - theirs) ** 2))) / spread
    figures = {"relative_error": error}
    if labels is None:
        return Loss("regression", _bounded(error), "error relative to the answers' spread", figures)
    truth = np.array([float(label) for label in labels])
    figures |= {"r2_before": _r2(truth, ours), "r2_after": _r2(truth, theirs)}
    drop = _bounded(figures["r2_before"] - figures["r2_after"])
    return Loss("regression", drop, "R2 before - R2 after", figures)


def entities(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Entities [rows], the JSON text of a list of objects with entity, start and end."""
    ours, theirs = (_spans(values) for values in (before, after))
    same = sum(len(mine & other) for mine, other in zip(ours, theirs, strict=True))
    total = sum(map(len, ours)) + sum(map(len, theirs))
    f1 = 2 * same / total if total else 1.0
    return Loss("token-classification", 1 - f1, "1 - F1 of the entities", {"entity_f1": f1})


def candidates(before: Array, after: Array, labels: Sequence[str] | None = None) -> Loss:
    """Candidates for masked words [rows], the JSON text of a list, the best one first."""
    ours, theirs = ([_best(msgspec.json.decode(row)) for row in values.tolist()] for values in (before, after))
    agreement = _share(ours, theirs)
    return Loss(
        "fill-mask", 1 - agreement, "1 - agreement on the best candidate", {"best_candidate_agreement": agreement}
    )


def cosine(before: Array, after: Array) -> Array:
    """Cosine similarity, row by row, of [rows, D] and [rows, D]; 1 where both are zero, 0 for what is no number."""
    ours, theirs = (np.asarray(values, np.float64) for values in (before, after))
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    with np.errstate(all="ignore"):
        found = np.where(lengths > 0, np.sum(ours * theirs, axis=1) / lengths, np.all(ours == theirs, axis=1))
    return np.asarray(np.nan_to_num(found, nan=0.0))


def overlap(before: Array, after: Array) -> float:
    """The share of every row's ten nearest neighbours, among the rows themselves, that stay the same."""
    ours, theirs = (_neighbours(values) for values in (before, after))
    return float(np.mean([len(set(mine) & set(other)) / NEIGHBOURS for mine, other in zip(ours, theirs, strict=True)]))


def _neighbours(values: Array) -> list[list[int]]:
    unit = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    nearest: list[list[int]] = np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS].tolist()
    return nearest


def _class_names(values: Array) -> list[str]:
    """Classes as texts, so that they compare with labels from files."""
    if values.ndim == 2 and values.shape[1] > 1:
        return [str(best) for best in values.argmax(axis=1).tolist()]
    flat = values.reshape(-1).tolist()
    return [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in flat]


def _share(first: Sequence[Any], second: Sequence[Any]) -> float:
    return float(np.mean([mine == other for mine, other in zip(first, second, strict=True)]))


def _bounded(value: float) -> float:
    """Between 0 and 1; what is no number is the worst."""
    return min(max(0.0, value), 1.0) if np.isfinite(value) else 1.0


def _r2(truth: Array, values: Array) -> float:
    spread = float(np.sum((truth - truth.mean()) ** 2)) or 1.0
    return 1 - float(np.sum((truth - values) ** 2)) / spread


def _spans(values: Array) -> list[set[tuple[Any, ...]]]:
    rows = [msgspec.json.decode(row) for row in values.tolist()]
    return [{(item["entity"], item["start"], item["end"]) for item in row} for row in rows]


def _best(row: list[list[dict[str, Any]]]) -> list[Any]:
    """The best candidate's token for every mask of a text."""
    return [candidates[0]["token"] for candidates in row if candidates]


Compare = Callable[[Array, Array, Sequence[str] | None], Loss]
_BY_TASK: dict[str, tuple[str, Compare]] = {
    "embedding": (EMBEDDING, embeddings),
    "classification": (LABEL, classes),
    "reranking": (SCORE, ranks),
    "token-classification": (ENTITIES, entities),
    "fill-mask": (CANDIDATES, candidates),
}


def _by_output(signature: Signature, outputs: Outputs) -> tuple[str, Compare]:
    """What a model of no declared task answers: classes if an output says so, else numbers, else tensors."""
    for spec in signature.outputs:
        if spec.datatype in ("BYTES", "INT64", "INT32", "BOOL", "UINT8") and len(spec.shape) <= 2:
            return spec.name, classes
    for spec in signature.outputs:
        if _scores(spec, outputs[spec.name]):
            return spec.name, classes
    first = signature.outputs[0]
    array = outputs[first.name]
    return first.name, numbers if array[0].size == 1 else tensors


def _scores(spec: TensorSpec, array: Array) -> bool:
    """Whether an output holds the scores of classes: by its name, or because its rows are probabilities."""
    if array.ndim != 2 or array.shape[1] < 2:
        return False
    if spec.labels or any(word in spec.name.lower() for word in _SCORES):
        return True
    return bool((array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-2))
