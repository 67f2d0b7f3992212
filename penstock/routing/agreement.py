"""How much two answers to the same request agree, from 0 to 1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.core.generation import CallArguments, CallStarted, Text
from penstock.core.reply import Outcome
from penstock.core.tensors import Array, Tensors

_WORD = re.compile(r"\w+", re.UNICODE)
CLOSE = 1e-3
"""Numbers that differ by less, relatively, are the same."""


def of_outcomes(events: Sequence[Any], outcome: Outcome, other_events: Sequence[Any], other: Outcome) -> float:
    """Agreement of two answers: of texts by their words, of tensors by their rows."""
    if isinstance(outcome, dict) and isinstance(other, dict):
        return of_tensors(outcome, other)
    return of_texts(said(events), said(other_events))


def said(events: Sequence[Any]) -> str:
    """What a stream of events says, tool calls included."""
    return "".join(_said(event) for event in events)


def _said(event: Any) -> str:
    if isinstance(event, CallStarted):
        return f" {event.name} "
    if isinstance(event, CallArguments):
        return event.text
    return event.text if isinstance(event, Text) else ""


def of_texts(one: str, other: str) -> float:
    """F1 of the words, whatever their order and case (Rajpurkar et al., 2016, as SQuAD scores answers)."""
    words, others = Counter(_WORD.findall(one.lower())), Counter(_WORD.findall(other.lower()))
    if not words or not others:
        return float(one.strip() == other.strip())
    shared = (words & others).total()
    return 2 * shared / (words.total() + others.total())


def of_tensors(one: Tensors, other: Tensors) -> float:
    """The share of rows that are equal in all outputs of both; labels exactly, numbers but for rounding."""
    names = [name for name in one if name in other]
    if not names or any(one[name].array.shape != other[name].array.shape for name in names):
        return 0.0
    rows = np.logical_and.reduce([_equal_rows(one[name].array, other[name].array) for name in names])
    return float(np.mean(rows))


def _equal_rows(one: Array, other: Array) -> Any:
    if one.dtype.kind == "f":
        equal = np.isclose(one, other, rtol=CLOSE, atol=CLOSE, equal_nan=True)
    else:
        equal = np.asarray(one == other)
    return equal.reshape(len(equal), -1).all(axis=1) if equal.ndim else equal
