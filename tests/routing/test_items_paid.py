"""Who pays for rows: the request that had them computed, once; those that are known, or under way, cost nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from penstock.admission.accounts import Accounts
from penstock.core.generation import Usage
from penstock.core.ledger import Entry
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor, object_array
from penstock.core.text import EMBEDDING, TEXT, TOKENS
from penstock.routing.items import ItemCache
from penstock.routing.settings import CacheSettings
from tests.admission.accounting import Book
from tests.routing.test_items import Model

SIGNATURE = Signature(
    (TensorSpec(TEXT, "BYTES", (-1,)),),
    (TensorSpec(EMBEDDING, "FP32", (-1, 2)), TensorSpec(TOKENS, "INT32", (-1,))),
    task="embedding",
)


def price(meta: Meta, request: Request) -> float:
    """A dollar per request, token, and busy second."""
    return 1 + meta.busy_s + (meta.usage.prompt_tokens if meta.usage is not None else 0)


class Embeddings:
    """A model (a provider's, where `counts`) that takes 10 tokens and half a second per row, and is its own book of
    models; before it accounts, and the cache of rows."""

    def __init__(self, *, counts: bool):
        self.counts = counts
        self.model = Model(signature=SIGNATURE)
        self.replies: list[tuple[Reply, int]] = []
        self.book = Book()
        cache = ItemCache(self, self, {"m": CacheSettings(1)})  # type: ignore[arg-type]
        self.accounts = Accounts(cache, {}, price, self.book)

    def find(self, name: str, version: str | None = None) -> Model:
        return self.model

    def all(self) -> list[Model]:
        return [self.model]

    async def __call__(self, request: Request) -> Reply:
        tensors: Any = request.payload
        reply = Reply(Meta("m", "1"), lambda: self._so_far(reply))
        self.replies.append((reply, len(tensors[TEXT].array)))
        return reply

    def _so_far(self, reply: Reply) -> None:
        if self.counts:
            reply.meta.usage = Usage(7)

    def answer(self) -> None:
        reply, count = self.replies.pop()
        reply.meta.busy_s = count / 2
        if self.counts:
            reply.meta.usage = Usage(10 * count)
        tokens = Tensor("INT32", np.full(count, 10, np.int32))
        reply.settle({EMBEDDING: Tensor("FP32", np.zeros((count, 2), np.float32)), TOKENS: tokens})

    async def ask(self, *texts: bytes) -> Reply:
        return await self.accounts(Request("r", "m", {TEXT: Tensor("BYTES", object_array(texts, (len(texts),)))}))

    def paid(self) -> list[tuple[int, float, float | None]]:
        """Tokens, busy seconds and cost of each."""
        return [amounts(entry) for entry in self.book.entries]


def amounts(entry: Entry) -> tuple[int, float, float | None]:
    return entry.prompt_tokens, entry.busy_s, entry.cost


def test_rows_that_are_known_cost_nothing_and_others_what_they_took() -> None:
    async def life(counts: bool) -> None:
        house = Embeddings(counts=counts)
        await house.ask(b"a", b"b")
        house.answer()
        await house.ask(b"b", b"c", b"a")
        house.answer()
        await house.ask(b"c", b"b")
        assert house.paid() == [(20, 1.0, 22.0), (10, 0.5, 11.5), (0, 0.0, 0.0)]

    for counts in (False, True):
        asyncio.run(life(counts))


def test_rows_under_way_are_paid_by_whom_they_were_begun_for() -> None:
    async def life() -> None:
        house = Embeddings(counts=False)
        await house.ask(b"a", b"b")
        await house.ask(b"a")
        house.answer()
        assert sorted(house.paid()) == [(0, 0.0, 0.0), (20, 1.0, 22.0)]

    asyncio.run(life())


def test_who_leaves_pays_for_what_was_begun_for_it_and_for_nothing_else() -> None:
    async def life() -> None:
        house = Embeddings(counts=True)
        owner = await house.ask(b"a", b"b")
        other = await house.ask(b"a")
        other.close()
        owner.close()
        assert house.paid() == [(0, 0.0, 0.0), (7, 0.0, 8.0)]

    asyncio.run(life())
