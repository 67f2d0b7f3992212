"""One runtime with one model: loading, warming up, running. What a worker hosts, process or not."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import cast

import msgspec
import numpy as np

from penstock.core.errors import BadRows, ModelFailed, PenstockError, Unavailable
from penstock.core.generation import Generated, Generation, Sampling
from penstock.core.language import GENERATION
from penstock.core.model import ModelSpec
from penstock.core.rows import rows_to_tensors
from penstock.core.signature import Signature
from penstock.core.tensors import DTYPES, Array, Tensor, bytes_array, datatype_of
from penstock.runtimes import registry
from penstock.runtimes.contract import Engine, Runtime
from penstock.scheduling.frames import Buffer, body_of, pack, unpack
from penstock.scheduling.messages import Load, Loaded, LoadFailed, Ran, Run, RunFailed, ToWorker

TRY_OUT_S = 120.0
"""Time for the first two tokens of an engine that has just loaded."""


class Host:
    """Answers messages; never raises for what a model does. `create` makes the runtime by name."""

    def __init__(self, create: Callable[[str], Runtime | Engine] = registry.create) -> None:
        self._create = create
        self._decode = msgspec.msgpack.Decoder(ToWorker).decode
        self.runtime: Runtime | None = None
        self.engine: Engine | None = None
        self.signature = Signature(())

    @property
    def borrows(self) -> bool:
        """Whether the runtime keeps nothing of its inputs, so that their memory may be used again."""
        return self.runtime is not None and self.runtime.borrows

    def answer(self, header: bytes, body: memoryview) -> list[Buffer]:
        """The reply frame to a request frame."""
        message = self._decode(header)
        if isinstance(message, Load):
            return pack(self.load(message))
        if isinstance(message, Run):
            return self._run(message, body)
        raise ValueError("the server sent an engine's message to a runtime")

    def load(self, message: Load) -> Loaded | LoadFailed:
        """Loads and warms up."""
        started = time.perf_counter()
        try:
            created = self._create(message.spec.runtime)
            self.signature = created.load(message.spec)
            if self.signature.task == GENERATION:
                self.engine = cast(Engine, created)
                try_out(self.engine)
            else:
                self.runtime = cast(Runtime, created)
                warm_up(self.runtime, self.signature, message)
        except PenstockError as error:
            self.runtime = self.engine = None
            return LoadFailed(error.code, error.message, error.detail or "")
        except Exception as error:
            self.runtime = self.engine = None
            text = f"the model cannot be loaded: {type(error).__name__}: {error}"
            return LoadFailed("model_file", text[:2000], traceback.format_exc())
        return Loaded(self.signature, time.perf_counter() - started)

    def _run(self, message: Run, body: memoryview) -> list[Buffer]:
        try:
            outputs, seconds = self.run(unpack(message.inputs, body), message.rows)
        except PenstockError as error:
            exhausted = isinstance(error.__cause__, MemoryError)
            reasons = error.reasons if isinstance(error, BadRows) else {}
            return pack(RunFailed(message.batch, error.code, error.message, error.detail or "", exhausted, reasons))
        out = body_of(outputs)
        return pack(Ran(message.batch, tuple(out.heads), seconds), out.buffers, out.nbytes)

    def run(self, tensors: dict[str, Tensor], rows: int) -> tuple[dict[str, Tensor], float]:
        """Runs a batch of so many rows; returns its outputs and the seconds inside the model.

        Raises `PenstockError` for whatever goes wrong.
        """
        if self.runtime is None:
            raise Unavailable("the model is not loaded")
        started = time.perf_counter()
        try:
            raw = self.runtime.run({name: tensor.array for name, tensor in tensors.items()})
            seconds = time.perf_counter() - started
            outputs = typed(raw, self.signature)
        except PenstockError:
            raise
        except MemoryError as error:
            raise Unavailable("the model ran out of memory on this batch") from error
        except Exception as error:
            raise ModelFailed("the model failed on this input", detail=traceback.format_exc()) from error
        check_rows({name: tensor.array for name, tensor in outputs.items()}, self.signature, rows)
        return outputs, seconds


def typed(outputs: dict[str, Array], signature: Signature) -> dict[str, Tensor]:
    """Outputs as tensors of the signature's datatypes (those it does not name keep their own)."""
    datatypes = {spec.name: spec.datatype for spec in signature.outputs}
    tensors: dict[str, Tensor] = {}
    for name, array in outputs.items():
        array = np.asarray(array)
        datatype = datatypes.get(name) or datatype_of(array)
        if datatype == "BYTES":
            array = bytes_array(array)
        elif array.dtype != DTYPES[datatype]:
            array = array.astype(DTYPES[datatype])
        tensors[name] = Tensor(datatype, array)
    return tensors


def warm_up(runtime: Runtime, signature: Signature, message: Load) -> None:
    """Runs once per batch size, so that the first request is as fast as the next.

    Raises whatever the model raises: a model that fails on its own example is never promoted.
    """
    for rows in message.warmup_rows:
        example = warm_up_input(message.spec, signature, rows)
        if example is not None:
            outputs = runtime.run(example)
            check_rows(outputs, signature, rows)


def try_out(engine: Engine) -> None:
    """Generates two tokens, so that the first request is as fast as the next, and an engine that cannot is never
    promoted. Raises what went wrong."""
    engine.submit(0, Generation(prompt="Hello", sampling=Sampling(max_tokens=2, temperature=0.0)))
    until = time.monotonic() + TRY_OUT_S
    while time.monotonic() < until:
        for _, what in engine.step():
            if isinstance(what, PenstockError):
                raise what
            if isinstance(what, Generated):
                return
    raise ModelFailed("the engine did not answer its first request")


def warm_up_input(spec: ModelSpec, signature: Signature, rows: int) -> dict[str, Array] | None:
    """The spec's example, repeated to `rows` rows; zeros by the signature without one.

    None when neither says enough (a text input's meaning cannot be guessed, say).
    """
    if spec.example:
        tensors = rows_to_tensors(signature, _repeat(spec.example, rows) if signature.batched else spec.example[:1])
        return {name: tensor.array for name, tensor in tensors.items()}
    if any(s.datatype == "BYTES" for s in signature.inputs):
        return None
    arrays: dict[str, Array] = {}
    for s in signature.inputs:
        shape = [1 if size == -1 else size for size in s.shape]
        if signature.batched:
            shape[0] = rows
        arrays[s.name] = np.zeros(shape, DTYPES[s.datatype])
    return arrays


def _repeat(example: list[object], rows: int) -> list[object]:
    return [example[index % len(example)] for index in range(rows)]


def check_rows(outputs: dict[str, Array], signature: Signature, rows: int) -> None:
    """Raises `ModelFailed` when a batched model does not return one output row per input row."""
    if not signature.batched:
        return
    for name, array in outputs.items():
        shape = np.shape(array)
        if not shape or shape[0] != rows:
            raise ModelFailed(
                f"output {name!r} has shape {list(shape)} for {rows} input rows; "
                "predict must return one output row per input row"
            )
