"""What crosses between the server and a worker: every message, in one file."""

from __future__ import annotations

import msgspec

from penstock.core.generation import EngineStats, Event, Generated, Generation
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature


class TensorHead(msgspec.Struct, array_like=True, frozen=True):
    """Describes one tensor of a frame's body: its bytes lie at the next multiple of 16."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    nbytes: int


class Load(msgspec.Struct, tag="load", array_like=True, frozen=True):
    """Server → worker, first and once: load this model and warm it up with these batch sizes."""

    spec: ModelSpec
    warmup_rows: tuple[int, ...] = (1,)


class Loaded(msgspec.Struct, tag="loaded", array_like=True, frozen=True):
    """Worker → server: ready. `seconds`: loading and warm-up together."""

    signature: Signature
    seconds: float


class LoadFailed(msgspec.Struct, tag="load_failed", array_like=True, frozen=True):
    """Worker → server: the model cannot be served; `detail` is for the log."""

    code: str
    message: str
    detail: str = ""


class Run(msgspec.Struct, tag="run", array_like=True, frozen=True):
    """Server → worker: run this batch of `rows` rows; the inputs' bytes are the frame's body."""

    batch: int
    inputs: tuple[TensorHead, ...]
    rows: int = 1


class Ran(msgspec.Struct, tag="ran", array_like=True, frozen=True):
    """Worker → server: the outputs are the frame's body. `compute_s`: seconds inside the model."""

    batch: int
    outputs: tuple[TensorHead, ...]
    compute_s: float


class RunFailed(msgspec.Struct, tag="run_failed", array_like=True, frozen=True):
    """Worker → server: the model raised; `code` as in the error tree, `detail` for the log.

    `exhausted`: the worker ran out of memory, and a new one should take its place. `reasons`: what is wrong
    with which rows, where the others are not at fault.
    """

    batch: int
    code: str
    message: str
    detail: str = ""
    exhausted: bool = False
    reasons: dict[int, str] = {}


class Submit(msgspec.Struct, tag="submit", array_like=True, frozen=True):
    """Server → worker: generate this, beside what is under way."""

    id: int
    generation: Generation


class Encoded(msgspec.Struct, tag="submit", array_like=True, frozen=True):
    """A `Submit` whose generation is encoded already."""

    id: int
    generation: msgspec.Raw


class Drop(msgspec.Struct, tag="drop", array_like=True, frozen=True):
    """Server → worker: nobody waits for these requests any more."""

    ids: tuple[int, ...]


class Failure(msgspec.Struct, tag="f", array_like=True, frozen=True):
    """A request's end by an error; `code` as in the error tree, `detail` for the log."""

    code: str
    message: str
    detail: str = ""
    param: str | None = None


class Stepped(msgspec.Struct, tag="stepped", array_like=True, frozen=True):
    """Worker → server: what a step brought, by request in order; also sent now and then without any news, as a sign
    of life while there is work, and to say that messages were read: `heard` counts `Submit` and `Drop` since start."""

    heard: int
    news: tuple[tuple[int, Event | Generated | Failure], ...]
    stats: EngineStats
    compute_s: float = 0.0


ToWorker = Load | Run | Submit | Drop
ToServer = Loaded | LoadFailed | Ran | RunFailed | Stepped
