"""A provider's embedding model in service: text in, FP32 out, as a local one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from penstock.core.errors import BadInput, DeadlineExceeded, PenstockError, ProviderFailed
from penstock.core.generation import Generated, Generation, Usage
from penstock.core.reply import Outcome, Reply
from penstock.core.request import Request
from penstock.core.signature import Fit, Signature, TensorSpec
from penstock.core.tensors import Array, Tensor, Tensors
from penstock.core.text import EMBEDDING, TEXT, TOKENS
from penstock.runtimes.remote.estimate import tokens_of
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.remote.deployment import RemoteDeployment
from penstock.scheduling.remote.job import RemoteJob

AT_ONCE = 4
"""Calls of one request under way together, where it needs several."""
MOST_BYTES = 512 * 1024
"""Of the texts of one call: under the 300,000 tokens that providers allow."""
HEAVY = 256 * 1024
"""Bytes of an answer that is read beside the event loop."""


class RemoteEmbedding(RemoteDeployment):
    """Requests for embeddings; long ones are split as the provider's limits say."""

    def _signature(self) -> Signature:
        return signature_of(self.model.dimensions or -1, self.model.context)

    def _job(self, request: Request, now: float) -> RemoteJob:
        tensors = request.payload
        if isinstance(tensors, Generation):
            raise BadInput("this model gives embeddings, no text; ask it at /v1/embeddings")
        assert self.signature is not None
        rows = Fit.of(self.signature).rows(tensors)
        _check_outputs(request.outputs, self.signature)
        size = sum(map(len, tensors[TEXT].array.tolist())) if rows else 0
        deadline = self._deadline(request, now, self.settings.max_timeout_ms)
        tokens = max(1, tokens_of(size))
        return RemoteJob(request, self._ended, size=tokens, prompt=tokens, deadline=deadline)

    async def _work(self, job: RemoteJob) -> Outcome:
        texts = _texts(job.tensors[TEXT].array)
        parts = split(texts, self.dialect.texts_at_once(self.model))
        places = asyncio.Semaphore(AT_ONCE)
        if len(parts) == 1:
            found = [await self._asked(parts[0], job, places)]
        else:
            async with _Together() as together:
                tasks = [together.create_task(self._asked(part, job, places)) for part in parts]
            found = [task.result() for task in tasks]
        tokens = sum(count for _, count in found)
        _count(job, tokens - job.tokens)
        vectors = (
            np.concatenate([vectors for vectors, _ in found])
            if found
            else np.zeros((0, max(0, self._size)), np.float32)
        )
        return outputs(vectors, [len(text) for text in texts], tokens)

    async def _asked(self, texts: list[str], job: RemoteJob, places: asyncio.Semaphore) -> tuple[Array, int]:
        """Embeddings of one call [texts, numbers], and its tokens."""
        async with places:
            body = await self._fetched(texts, job)
        read = self._read
        return await asyncio.to_thread(read, body, len(texts)) if len(body) > HEAVY else read(body, len(texts))

    async def _fetched(self, texts: list[str], job: RemoteJob) -> bytes:
        """The answer to one call, whose tokens count from the moment that it is sent, by estimate: a provider asks for
        them whether somebody waits for the answer or not."""
        assert self.client is not None
        sent = max(1, tokens_of(sum(map(len, texts))))
        _count(job, sent)
        try:
            return await self.client.fetch(self.dialect.embed(texts, self.model), job.deadline)
        except PenstockError as error:
            if not isinstance(error, DeadlineExceeded):
                _count(job, -sent)
            raise

    def _read(self, body: bytes, count: int) -> tuple[Array, int]:
        found, tokens = self.dialect.embeddings(body, count)
        try:
            vectors = np.array(found, np.float32)
        except (ValueError, TypeError):
            vectors = np.zeros(0, np.float32)
        wanted = self._size
        if vectors.ndim != 2 or len(vectors) != count or wanted not in (-1, vectors.shape[1]):
            says = "of different lengths" if vectors.ndim != 2 else f"of {vectors.shape[1]} numbers, not {wanted}"
            raise ProviderFailed(f"{self.provider} gave embeddings {says}")
        return vectors, tokens

    @property
    def _size(self) -> int:
        """Numbers of an embedding; -1 before the first, where the settings do not say."""
        assert self.signature is not None
        return self.signature.outputs[0].shape[1]

    def _ended(self, job: Job, outcome: Outcome) -> None:
        reply: Reply = job.owner
        now = self._clock()
        self._hide(outcome)
        if job.started:
            reply.meta.queue_s = job.started - job.arrived
        if isinstance(outcome, PenstockError):
            if not job.started:
                reply.meta.usage = Usage()
            self.recorder.error(outcome.code)
        elif not isinstance(outcome, Generated):
            self._answered(job, outcome, now)
        reply.settle(outcome)

    def _answered(self, job: Job, outcome: Tensors, now: float) -> None:
        meta, rows = job.owner.meta, len(outcome[TOKENS].array)
        meta.compute_s, meta.total_s, meta.batch_rows = now - job.started, now - job.arrived, rows
        self.recorder.request(now - job.arrived, meta.queue_s, 0.0, meta.compute_s)
        self.recorder.batch(rows, meta.compute_s)
        self.recorder.tokens += job.tokens
        if self._size == -1 and rows:
            self.signature = signature_of(outcome[EMBEDDING].array.shape[1], self.model.context)


def _count(job: RemoteJob, tokens: int) -> None:
    """What it takes, so far."""
    job.tokens += tokens
    job.owner.meta.usage = Usage(job.tokens)


class _Together(asyncio.TaskGroup):
    """Tasks that end together; what one raises is raised as it is."""

    async def __aexit__(self, *args: object) -> None:
        try:
            await super().__aexit__(*args)  # type: ignore[arg-type]
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


def signature_of(size: int, context: int) -> Signature:
    """Texts in, embeddings of so many numbers out (-1: not known yet)."""
    return Signature(
        (TensorSpec(TEXT, "BYTES", (-1,)),),
        (TensorSpec(EMBEDDING, "FP32", (-1, size)), TensorSpec(TOKENS, "INT32", (-1,))),
        task="embedding",
        max_tokens=context or None,
    )


def split(texts: Sequence[str], most: int) -> list[list[str]]:
    """Consecutive texts in parts of at most so many, and of at most `MOST_BYTES` together."""
    parts: list[list[str]] = []
    size = 0
    for text in texts:
        if not parts or len(parts[-1]) == most or size + len(text) > MOST_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(text)
        size += len(text)
    return parts


def outputs(vectors: Array, sizes: Sequence[int], tokens: int) -> Tensors:
    """The answer. vectors: [rows, numbers]; `sizes`: of the texts, by which their tokens are told apart."""
    counts = np.zeros(len(sizes), np.int32)
    if len(sizes):
        ends = np.cumsum(np.array(sizes, np.float64)) / max(1, sum(sizes))
        counts = np.diff(np.rint(ends * tokens), prepend=0).astype(np.int32)
    return {EMBEDDING: Tensor("FP32", vectors), TOKENS: Tensor("INT32", counts)}


def _texts(array: Array) -> list[str]:
    """Raises `BadInput` for a row that is empty, or no text."""
    texts = []
    for row, raw in enumerate(array.tolist()):
        try:
            texts.append(raw.decode())
        except UnicodeDecodeError:
            raise _blamed(row, "is not valid UTF-8") from None
        if not raw:
            raise _blamed(row, "is empty; an embedding needs at least one character")
    return texts


def _blamed(row: int, says: str) -> BadInput:
    error = BadInput(f"row {row}: the text {says}")
    error.row = row
    return error


def _check_outputs(wanted: Sequence[str] | None, signature: Signature) -> None:
    for name in wanted or ():
        if name not in signature.output_names():
            known = ", ".join(signature.output_names())
            raise BadInput(f"unknown output {name[:64]!r}; the model gives: {known}")
