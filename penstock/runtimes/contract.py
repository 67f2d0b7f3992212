"""What every runtime offers: load a model, run a batch or a step. Synchronous; lives in a worker process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import EngineStats, Event, Generated, Generation
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature
from penstock.core.tensors import Array


class Runtime(Protocol):
    """Executes one format. One instance serves one model in one worker.

    Runtimes that can write a live object to files also have the module-level functions
    `accepts(obj) -> bool` and `save(obj, folder, example) -> Saved`.

    `borrows`: `run` neither writes to its inputs nor keeps them, so they may lie in memory that the
    next batch overwrites; other runtimes get arrays of their own.
    """

    borrows: bool

    def load(self, spec: ModelSpec) -> Signature:
        """Loads the model. Returns its signature: the spec's own where it has one, else inferred.

        Raises `ModelFileError` when the file cannot be loaded (the reason in words, no paths),
        `UntrustedFile` when it would run code and `spec.trusted` is false.
        """

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch: input name → array whose first axis is rows, in the signature's datatypes
        (BYTES: object arrays of `bytes`; columns [-1]). Returns output name → array, rows in the
        same order. Raises `BadInput` when the input is at fault; anything else is the model's.
        """


class Engine(Protocol):
    """A runtime that batches by itself: a language model. It has no `run`; requests come and go between steps."""

    def load(self, spec: ModelSpec) -> Signature:
        """Loads the model; its signature has the task "generation". Raises like `Runtime.load`."""

    def submit(self, id: int, generation: Generation) -> None:
        """Adds a request; what it becomes, errors included, comes out of `step`."""

    def cancel(self, id: int) -> None:
        """Gives a request up; nothing more comes of it. Unknown ids are ignored."""

    def step(self) -> list[tuple[int, Event | Generated | PenstockError]]:
        """Works once, for about a second at most, and returns what is new, by request: events in order, then
        `Generated` or an error as its only end. An exception ends the worker."""

    @property
    def busy(self) -> bool:
        """Whether `step` has something to do now."""

    def descriptors(self) -> Sequence[int]:
        """File descriptors that become readable when `step` has something to do again (besides new requests)."""

    def stats(self) -> EngineStats:
        """The present state of the engine."""

    def close(self) -> None:
        """Ends what it started beside itself. Called where the process lives on; a worker's own end does as much."""


class Saved(msgspec.Struct, frozen=True):
    """What a runtime wrote for a live object; the manifest is made from it.

    `file`: name inside the folder. `runs_code`: loading it runs code, so it needs trust.
    `signature`: may hold inputs alone; the runtime then finds the outputs when it loads the file.
    `options`: what the runtime must know to load it again, by its own names.
    """

    file: str
    runtime: str
    format: str
    signature: Signature | None = None
    classes: list[Any] | None = None
    runs_code: bool = False
    libraries: dict[str, str] = {}
    options: dict[str, Any] = {}


class Saver(Protocol):
    """The writing half of a runtime's module."""

    def accepts(self, obj: object) -> bool:
        """Whether this runtime serves such an object."""

    def save(self, obj: Any, folder: Path, example: Any) -> Saved:
        """Writes the object into an existing folder. `example`: a few input rows, as the model's own
        predict takes them (array, DataFrame, list), or None."""
