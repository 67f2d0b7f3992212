"""What the converter's own process is asked to do, and what it answers: plain data, one JSON line each."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from penstock.core.model import ModelSpec
from penstock.core.text import Precision

Engine = Literal["openvino", "onnxruntime"]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows, and which of them are meant.

    `label`: the column that holds the answers, or None: the one named label, if there is one. `part`: all rows; those
    that calibrate; or the others, which are held out to measure by.
    """

    file: str
    label: str | None = None
    part: Literal["all", "calibration", "held-out"] = "all"


class Convert(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Make the files of a derived model in `folder`, which exists and is empty.

    `spec`: the source. `engine`: what will run the result. `sample`: rows to calibrate on, for static quantization.
    """

    spec: ModelSpec
    folder: str
    precision: Precision
    engine: Engine
    sample: Sample | None = None


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Compare two versions of a model on the same rows, by their runtimes.

    `sample`: None takes texts of our own, or random numbers. `seconds`: time to measure speed for; 0: quality alone.
    """

    before: ModelSpec
    after: ModelSpec
    sample: Sample | None = None
    seconds: float = 0.0


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a derived model, as the converter wrote them.

    `file`: the model file; `files`: the others, by name in the folder. `options`: what its runtime must know.
    `method`: what was done, in a few words. `libraries`: versions that took part. `notes`: more for the report.
    """

    file: str
    format: str
    runtime: str
    files: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    method: str = ""
    libraries: dict[str, str] = {}
    notes: dict[str, Any] = {}


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of precision does to the answers.

    `loss`: 0 for the same answers, 1 for the worst; which measure it is, says `measure`. `rows`: how many were
    compared. `data`: where they come from. `figures`: everything else that was found, by name.
    """

    task: str
    loss: float
    measure: str
    rows: int
    data: str
    figures: dict[str, float] = {}


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """Medians of interleaved rounds. `p50_ms`, `p99_ms`: of single rows; `rows_per_s`: in batches of `batch` rows."""

    p50_ms: float
    p99_ms: float
    rows_per_s: float
    batch: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison; no speeds when none were asked for."""

    quality: Quality
    before: Speed | None = None
    after: Speed | None = None
    threads: int = 1


class Step(msgspec.Struct, frozen=True, tag=True):
    """A step of the work has begun."""

    text: str


class Done(msgspec.Struct, frozen=True, tag=True):
    """The work is done."""

    made: Made | None = None
    measured: Measured | None = None


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The work cannot be done: an error of the tree, by its code."""

    code: str
    message: str
    detail: str | None = None


Job = Convert | Measure
Answer = Step | Done | Failed
