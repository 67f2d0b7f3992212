"""A model version as it is described before it runs, and as it is seen while it does."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, Protocol

import msgspec

from penstock.core.signature import Signature


@lru_cache(1024)
def versioned(name: str) -> tuple[str, str | None]:
    """A model's name and the version that its name names.

    >>> versioned("iris@2"), versioned("iris")
    (('iris', '2'), ('iris', None))
    """
    model, _, version = name.partition("@")
    return model, version or None


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a worker needs to load one version of a model. Crosses the process boundary.

    `path`: the model file, or "module:attribute" / "file.py:attribute" for Python callables.
    `format`: what the bytes are ("onnx", "pickle", "skops", "xgboost-json", ...), found by magic bytes.
    `sha256`: digest of the file; a runtime that runs code from it loads exactly these bytes.
    `trusted`: somebody vouched for that digest, so code in the file may run.
    `signature`: from the manifest, or None: the runtime infers it.
    `batched`: whether the first axis counts independent rows that may run together; None: the
    signature or the file decides.
    `example`: rows as the predict door takes them, for docs and warm-up.
    `classes`: a classifier's labels in the order of its probabilities.
    `output`: for classifiers, "label", "probabilities" or "both".
    `device`: "auto", "cpu", "cuda" or "cuda:N". `threads`: for the runtime's own pools.
    `options`: settings of one runtime, by its own names.
    `precision`: of the weights, where it is known ("fp32", "int8", ...). `details`: what its manifest says besides,
    for people: where it was derived from, the report of its quantization.
    """

    name: str
    runtime: str
    path: str
    format: str = ""
    version: str = "1"
    sha256: str | None = None
    trusted: bool = False
    signature: Signature | None = None
    batched: bool | None = None
    example: list[Any] | None = None
    classes: list[Any] | None = None
    output: str = "both"
    device: str = "auto"
    threads: int = 1
    platform: str = ""
    options: dict[str, Any] = {}
    precision: str = ""
    details: dict[str, Any] = {}


class State(StrEnum):
    """Where a model version stands. Only READY takes requests at once; UNLOADED is as somebody asked for."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"
    FAILED = "FAILED"
    DRAINING = "DRAINING"
    UNLOADED = "UNLOADED"

    @property
    def settled(self) -> bool:
        """Whether it is as it should be: ready, or unloaded on purpose."""
        return self in (State.READY, State.UNLOADED)


class ModelStats(msgspec.Struct):
    """Totals since start; durations are seconds, summed over requests."""

    requests: int = 0
    failures: int = 0
    rows: int = 0
    batches: int = 0
    queue_s: float = 0.0
    batch_s: float = 0.0
    compute_s: float = 0.0
    last_request_at: float = 0.0
    batch_sizes: dict[int, tuple[int, float]] = {}


class ModelView(Protocol):
    """One served version, as the protocols see it."""

    @property
    def spec(self) -> ModelSpec: ...

    @property
    def signature(self) -> Signature | None:
        """None until the model has loaded once."""

    @property
    def state(self) -> State: ...

    @property
    def reason(self) -> str:
        """Why the state is what it is, for people; empty when ready."""

    @property
    def stats(self) -> ModelStats: ...

    @property
    def load(self) -> float:
        """Requests that run and wait, per place for one that runs: 1 is full, with nobody waiting."""

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data."""


class Lifecycle(Protocol):
    """Loads and unloads served models while the server goes on."""

    async def load(self, name: str) -> None:
        """Loads an unloaded model and waits for it; one that is loaded stays. Raises `UnknownModel`, and
        `Unavailable` when it cannot be loaded."""

    async def unload(self, name: str) -> None:
        """Finishes what the model has accepted, then frees its memory. Raises `UnknownModel`, and `Conflict` when
        another model needs it."""


class Models(Protocol):
    """All served models, as the protocols see them."""

    def find(self, name: str, version: str | None = None) -> ModelView:
        """The version asked for, or the one that serves by default. Raises `UnknownModel`."""

    def all(self) -> Iterable[ModelView]: ...

    @property
    def draining(self) -> bool: ...


class PublicName(msgspec.Struct, frozen=True):
    """A name that is not a model's own: an alias, or a route, with the names of the models behind it."""

    name: str
    kind: Literal["alias", "route"]
    models: tuple[str, ...] = ()


class Catalog(Models, Protocol):
    """All served models, and the other names that they are asked under."""

    def public(self) -> Iterable[PublicName]:
        """The names that are not models' own."""
