"""One replica's wire: starts its worker, sends batches, turns frames into events for the service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from penstock.core.errors import BadRows, PenstockError, by_code
from penstock.core.signature import Signature
from penstock.core.tensors import Array
from penstock.scheduling.dispatcher import Batch
from penstock.scheduling.frames import Body, Buffer, pack
from penstock.scheduling.inline import InlineWorker
from penstock.scheduling.messages import Loaded, LoadFailed, Ran, Run, RunFailed, Stepped, ToServer
from penstock.scheduling.process import WorkerProcess

if TYPE_CHECKING:
    from penstock.scheduling.service import Service

_decode = msgspec.msgpack.Decoder(ToServer).decode


class ReplicaLink:
    """The current worker of one replica, and what it says."""

    def __init__(self, index: int, service: Service):
        self.index = index
        self._service = service
        self._worker: WorkerProcess | InlineWorker | None = None
        self._gone = asyncio.Event()
        self._gone.set()
        self._starting: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, if it has one."""
        return self._worker.pid if self._worker else None

    def spawn(self) -> None:
        """Starts a worker and tells it what to load."""
        self._gone.clear()
        self._starting = asyncio.get_running_loop().create_task(self._start())

    async def _start(self) -> None:
        service = self._service
        if service.create:
            worker: InlineWorker | WorkerProcess = InlineWorker(self, service.create)
        else:
            worker = WorkerProcess(self, service.threads, service.url, service.key)
        try:
            await worker.start()
        except OSError as error:
            self.exited(f"cannot start: {error.strerror}")
            return
        self._worker = worker
        self.send(pack(service.load_message()), 0)

    def send(self, buffers: Sequence[Buffer], nbytes: int) -> None:
        """Sends a frame to the worker."""
        if self._worker is not None:
            self._worker.send(buffers, nbytes)

    def kill(self) -> None:
        """Ends the worker at once; `exited` follows."""
        if self._worker is not None:
            self._worker.kill()

    async def close(self) -> None:
        """Ends the worker and waits until it is gone."""
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._worker is not None:
            self._worker.close()
            await self._gone.wait()

    # --- what the worker says

    def frame(self, header: bytes, body: memoryview) -> None:
        """Tells the service what a frame means."""
        message = _decode(header)
        if isinstance(message, Stepped):
            self._service.replica_stepped(self.index, message)
        elif isinstance(message, Ran):
            self._service.replica_ran(self.index, message, body)
        elif isinstance(message, Loaded):
            self._service.replica_ready(self.index, message.signature, message.seconds)
        elif isinstance(message, LoadFailed):
            self._service.load_failed(self.index, message.code, message.message, message.detail)
        else:
            self._service.replica_failed(self.index, message)

    def exited(self, how: str) -> None:
        """The worker is gone."""
        self._worker = None
        self._gone.set()
        self._service.replica_exited(self.index, how)


def error_of(failed: RunFailed) -> PenstockError:
    """A worker's error in the server's tree."""
    error = BadRows(failed.reasons) if failed.reasons else by_code(failed.code)(failed.message)
    error.detail = failed.detail or None
    return error


def batch_frame(batch: Batch, signature: Signature, rows: int) -> tuple[list[Buffer], int]:
    """The frame of a batch: every input's rows of all works behind one another, padded up to `rows`."""
    body = Body()
    first = batch.works[0].tensors
    for name in first:
        tensors = [work.tensors[name] for work in batch.works]
        arrays: list[Array] = [tensor.array for tensor in tensors]
        shape = arrays[0].shape
        if signature.batched:
            if rows > batch.rows:
                arrays.append(np.repeat(arrays[-1][-1:], rows - batch.rows, axis=0))
            shape = (rows, *shape[1:])
        body.add(name, tensors[0].datatype, arrays, shape)
    message = Run(batch.id, tuple(body.heads), rows)
    return pack(message, body.buffers, body.nbytes), body.nbytes
