"""Is the answer right? Labels exactly, floats to 1e-5 of what the model says when called directly."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from bench.http import Answer
from bench.models import Models

_TOLERANCE = 1e-5


def plain_iris(answer: Answer, models: Models) -> str | None:
    """`{"label", "probabilities"}`."""
    if answer.status != 200:
        return _refused(answer)
    body = json.loads(answer.body)
    return _label(body["label"], models) or _close(body["probabilities"], models.iris_probabilities)


def oip_iris(answer: Answer, models: Models) -> str | None:
    """An OIP answer with the label as INT64 and the probabilities as FP32."""
    if answer.status != 200:
        return _refused(answer)
    outputs = {output["datatype"]: output["data"] for output in json.loads(answer.body)["outputs"]}
    return _label(_flat(outputs["INT64"])[0], models) or _close(_flat(outputs["FP32"]), models.iris_probabilities)


def oip_label(answer: Answer, models: Models) -> str | None:
    """An OIP answer that holds the label alone."""
    if answer.status != 200:
        return _refused(answer)
    return _label(_flat(json.loads(answer.body)["outputs"][0]["data"])[0], models)


def oip_scores_json(answer: Answer, models: Models) -> str | None:
    """The vision model's scores as JSON."""
    if answer.status != 200:
        return _refused(answer)
    return _close(_flat(json.loads(answer.body)["outputs"][0]["data"]), models.vision_scores)


def oip_scores_binary(answer: Answer, models: Models) -> str | None:
    """The vision model's scores as bytes behind the JSON part."""
    if answer.status != 200:
        return _refused(answer)
    start = answer.headers.get("inference-header-content-length")
    if start is None:
        return "asked for a binary answer, got JSON"
    return _close(np.frombuffer(answer.body[int(start) :], np.float32).tolist(), models.vision_scores)


def raw_scores(answer: Answer, models: Models) -> str | None:
    """Nothing but the scores."""
    if answer.status != 200:
        return _refused(answer)
    return _close(np.frombuffer(answer.body, np.float32).tolist(), models.vision_scores)


def _refused(answer: Answer) -> str:
    return f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"


def _label(label: Any, models: Models) -> str | None:
    return None if label == models.iris_label else f"label {label!r}, the model says {models.iris_label}"


def _close(values: list[float], expected: list[float]) -> str | None:
    same = len(values) == len(expected) and all(
        math.isclose(a, b, rel_tol=0, abs_tol=_TOLERANCE) for a, b in zip(values, expected, strict=True)
    )
    return None if same else f"{values[:8]}, the model says {expected[:8]}"


def _flat(data: Any) -> list[Any]:
    return [leaf for item in data for leaf in (_flat(item) if isinstance(item, list) else [item])]
