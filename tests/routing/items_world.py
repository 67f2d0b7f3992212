"""A world for the cache of rows: the real cache, flights and gate under a virtual clock, with clients that leave and
a model that is slow, fails, or hangs, all drawn from a seed. It keeps its own books, and compares."""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
from collections import Counter
from typing import Any

import numpy as np

from penstock.admission.gate import AdmissionSettings, Gate
from penstock.core.clock import StillClock
from penstock.core.deadline import NEVER
from penstock.core.errors import (
    BadInput,
    DeadlineExceeded,
    ModelFailed,
    Overloaded,
    PenstockError,
    Unavailable,
    WorkerLost,
)
from penstock.core.model import ModelSpec
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor, Tensors, object_array
from penstock.protocols.http.drive import Drive
from penstock.routing.items import ItemCache
from penstock.routing.settings import CacheSettings
from penstock.routing.store import size_of

SIGNATURE = Signature(
    (TensorSpec("text", "BYTES", (-1,)), TensorSpec("scale", "FP32", (-1,), optional=True)),
    (
        TensorSpec("vector", "FP32", (-1, -1)),
        TensorSpec("label", "BYTES", (-1,)),
        TensorSpec("tokens", "INT32", (-1,)),
    ),
)
TIMEOUT_S = 2.0
EPSILON = 1e-6
Content = tuple[str, str | None, bytes, float | None]
"""What makes a row: the version, the tenant, the text, the scale."""


class Violation(AssertionError):
    """Something happened that must never happen."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which waiting takes no time: the clock jumps to the next timer."""

    def __init__(self, clock: StillClock):
        super().__init__(_Jump(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock()


class _Jump(selectors.SelectSelector):
    def __init__(self, clock: StillClock):
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise Violation("somebody waits for what will never happen")
        self._clock.advance(max(0.0, timeout))
        return super().select(0)


class Version:
    """A version of the model, as the models' book shows it."""

    signature = SIGNATURE

    def __init__(self, version: str):
        self.spec = ModelSpec(name="m", runtime="virtual", path="", version=version)

    def config(self) -> dict[str, Any]:
        return {"timeout_ms": TIMEOUT_S * 1000, "max_timeout_ms": 60_000}


class Versions:
    """All versions; the last is the default, until the world changes its mind."""

    def __init__(self) -> None:
        self.served = {name: Version(name) for name in ("1", "2")}
        self.newest = "1"

    def find(self, name: str, version: str | None = None) -> Version:
        return self.served[version or self.newest]

    def all(self) -> list[Version]:
        return list(self.served.values())


class Call:
    """What the model was asked once."""

    def __init__(self, request: Request, contents: list[Content]):
        self.request = request
        self.contents = contents
        self.error: PenstockError | None = None
        self.reply: Reply | None = None


class Sent:
    """A request as its client remembers it."""

    def __init__(self, request: Request, contents: list[Content], deadline: float, drive: Drive | None = None):
        self.request = request
        self.contents = contents
        self.deadline = deadline
        self.drive = drive
        self.ended = self.left = False


def answer(content: Content, width: int) -> tuple[list[float], bytes, int]:
    """What the model says about a row: it depends on everything but the tenant."""
    version, _, text, scale = content
    first = float(sum(text)) * (1 if scale is None else 1 + scale) + int(version) / 4
    return [first] + [float(len(text))] * (width - 1), b"<" + text + b"@" + version.encode() + b">", len(text)


class World:
    """One seed's world. `seen` counts what happened in it."""

    def __init__(self, seed: int):
        rng = self.rng = random.Random(seed)
        self.clock = StillClock(rng.random() * 100)
        self.loop = VirtualLoop(self.clock)
        self.versions = Versions()
        self.texts = self._texts()
        self.ragged = rng.random() < 0.15
        self.trouble = rng.choice([0.0, 0.1, 0.3])
        self.slow_s = rng.choice([0.01, 0.3, 1.5])
        self.slices = rng.random() < 0.3
        most = rng.choice([600, 2_000, 1_000_000]) / 2**20
        self.cache = ItemCache(self, self.versions, {"m": CacheSettings(most)}, self.clock)  # type: ignore[arg-type]
        self.gate = Gate(self.cache, AdmissionSettings())
        self.sent: list[Sent] = []
        self.calls: list[Call] = []
        self.live: list[Call] = []
        self.seen: Counter[str] = Counter()
        self.broken: Violation | None = None

    def _texts(self) -> list[bytes]:
        good = [b"text %d" % number * self.rng.randint(1, 40) for number in range(self.rng.randint(2, 12))]
        return good + [b"bad"] * (self.rng.random() < 0.5) + [b"poison"] * (self.rng.random() < 0.5)

    # --- the run of the world

    def run(self) -> None:
        asyncio.set_event_loop(None)
        try:
            self.loop.run_until_complete(self._life())
        finally:
            self._clear()
        if self.broken is not None:
            raise self.broken

    def _clear(self) -> None:
        """A world that broke leaves clients and tasks behind."""
        for sent in self.sent:
            if not sent.ended and sent.drive is not None:
                sent.ended = True
                with contextlib.suppress(KeyError):
                    sent.drive.close()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        finally:
            self.loop.close()

    async def _life(self) -> None:
        for _ in range(self.rng.randint(5, 60)):
            await asyncio.sleep(self.rng.choice([0.0, 0.0, 0.001, 0.1, 0.5]))
            self._event()
            await asyncio.sleep(0)
            self._check_now()
        while not all(sent.ended for sent in self.sent):
            await asyncio.sleep(0.5)
            self._check_now()
        await asyncio.sleep(2 * TIMEOUT_S)
        self._check_end()

    def _event(self) -> None:
        luck = self.rng.random()
        open_ = [sent for sent in self.sent if not sent.ended]
        if luck < 0.15 and open_:
            self._leave(self.rng.choice(open_))
        elif luck < 0.2:
            self.versions.newest = self.rng.choice(["1", "2"])
        else:
            self._ask()

    def _ask(self) -> None:
        rng, now = self.rng, self.clock()
        texts = [rng.choice(self.texts) for _ in range(rng.choice([1, 1, 2, 3, 8]))]
        scales = [rng.choice([0.0, 1.0]) for _ in texts] if rng.random() < 0.15 else None
        tenant = rng.choice([None, None, None, None, None, "a"])
        version = rng.choice([None, None, None, None, "1", "2"])
        deadline = NEVER if rng.random() < 0.5 else now + rng.choice([0.05, 0.5, 5.0])
        payload = {"text": Tensor("BYTES", object_array(texts, (len(texts),)))}
        if scales is not None:
            payload["scale"] = Tensor("FP32", np.array(scales, np.float32))
        request = Request(str(len(self.sent)), "m", payload, version, None, deadline, tenant=tenant)
        resolved = version or self.versions.newest
        contents = [(resolved, tenant, text, s) for text, s in zip(texts, scales or [None] * len(texts), strict=True)]
        sent = Sent(request, contents, now + TIMEOUT_S if deadline == NEVER else deadline)
        self.sent.append(sent)
        sent.drive = Drive(self._client(request), lambda outcome: self._told(sent, outcome))

    async def _client(self, request: Request) -> tuple[Reply, Tensors]:
        reply = await self.gate(request)
        return reply, await reply

    def _leave(self, sent: Sent) -> None:
        sent.ended = sent.left = True
        self.seen["left"] += 1
        assert sent.drive is not None
        sent.drive.close()

    # --- the model

    async def __call__(self, request: Request) -> Reply:
        """The next step: what the cache asks for."""
        call = Call(request, self._contents(request))
        self.calls.append(call)
        if self.slices and self.rng.random() < 0.3:
            await asyncio.sleep(self.rng.choice([0, 0.02]))
        if self.rng.random() < self.trouble / 3:
            call.error = Overloaded("full")
            raise call.error
        reply = call.reply = Reply(Meta("m", call.contents[0][0]), lambda: self._given_up(call))
        self.live.append(call)
        self.loop.call_later(self.rng.random() * self.slow_s, self._finish, call)
        until = request.deadline if request.deadline != NEVER else self.clock() + TIMEOUT_S
        self.loop.call_later(max(0.0, until - self.clock()), self._end, call, DeadlineExceeded("too late"))
        self.seen["calls"] += 1
        return reply

    def _given_up(self, call: Call) -> None:
        self.live.remove(call)
        self.seen["runs given up"] += 1

    def _contents(self, request: Request) -> list[Content]:
        tensors: Any = request.payload
        texts = tensors["text"].array.tolist()
        scales = tensors["scale"].array.tolist() if "scale" in tensors else [None] * len(texts)
        assert request.version is not None or self.ragged
        version = request.version or self.versions.newest
        return [(version, request.tenant, text, scale) for text, scale in zip(texts, scales, strict=True)]

    def _finish(self, call: Call) -> None:
        texts = [content[2] for content in call.contents]
        if b"bad" in texts:
            row = texts.index(b"bad")
            error = BadInput(f"row {row}: this is bad" if len(texts) > 1 else "this is bad")
            error.row = row
            self._end(call, error)
        elif b"poison" in texts:
            self._end(call, ModelFailed("poisoned"))
        elif self.rng.random() < self.trouble:
            self._end(call, self.rng.choice([WorkerLost, Unavailable, ModelFailed])("trouble"))
        else:
            self._end(call, self._outputs(call.contents))

    def _outputs(self, contents: list[Content]) -> Tensors:
        width = 2 + (max(len(content[2]) for content in contents) % 3 if self.ragged else 0)
        vectors, labels, tokens = zip(*(answer(content, width) for content in contents), strict=True)
        return {
            "vector": Tensor("FP32", np.array(vectors, np.float32)),
            "label": Tensor("BYTES", object_array(labels, (len(labels),))),
            "tokens": Tensor("INT32", np.array(tokens, np.int32)),
        }

    def _end(self, call: Call, outcome: Tensors | PenstockError) -> None:
        if call not in self.live:
            return
        self.live.remove(call)
        call.error = outcome if isinstance(outcome, PenstockError) else None
        assert call.reply is not None
        call.reply.settle(outcome)

    # --- the books

    def _told(self, sent: Sent, outcome: Any) -> None:
        """A client has got its end; violations are kept, because nobody may raise in here."""
        try:
            self._check_told(sent, outcome)
        except Violation as violation:
            self.broken = self.broken or violation
        except AssertionError as error:
            self.broken = self.broken or Violation(str(error))

    def _check_told(self, sent: Sent, outcome: Any) -> None:
        if sent.ended:
            raise Violation("a request ended twice, or after its client left")
        sent.ended = True
        if self.clock() > sent.deadline + EPSILON:
            raise Violation(f"request {sent.request.id} was told {self.clock() - sent.deadline:.3f}s too late")
        if isinstance(outcome, BaseException):
            self._check_error(sent, outcome)
            self.seen[f"error {type(outcome).__name__}"] += 1
        else:
            self._check_answer(sent, *outcome)
            self.seen["answers"] += 1

    def _check_error(self, sent: Sent, error: BaseException) -> None:
        texts = [content[2] for content in sent.contents]
        if isinstance(error, BadInput):
            row = error.row
            right = f"row {row}: this is bad" if len(texts) > 1 else "this is bad"
            if row is None or texts[row] != b"bad" or error.message != right:
                raise Violation(f"{error!r} about row {row} for {texts}")
        elif isinstance(error, DeadlineExceeded):
            if self.clock() < sent.deadline - EPSILON:
                raise Violation(f"request {sent.request.id} was ended {sent.deadline - self.clock():.3f}s too early")
        elif not any(self._may_tell(call, sent) for call in self.calls if call.error is error):
            raise Violation(f"request {sent.request.id} was failed by {error!r}, which was not its own")

    def _may_tell(self, call: Call, sent: Sent) -> bool:
        """Whether a call's failure concerns a request: it was its own, or held nothing but rows of its own."""
        return call.request.id == sent.request.id or set(call.contents) <= set(sent.contents)

    def _check_answer(self, sent: Sent, reply: Reply, outputs: Tensors) -> None:
        width = outputs["vector"].array.shape[1]
        for row, content in enumerate(sent.contents):
            vector, label, tokens = answer(content, width)
            got = (
                outputs["vector"].array[row].tolist(),
                outputs["label"].array[row],
                int(outputs["tokens"].array[row]),
            )
            if got != (vector, label, tokens):
                raise Violation(f"row {row} of request {sent.request.id}: {got} instead of {(vector, label, tokens)}")
        if (reply.meta.model, reply.meta.version) != ("m", sent.contents[0][0]):
            raise Violation(f"{reply.meta.model}@{reply.meta.version} answered")
        if self.ragged:
            self.seen["whole"] += reply.meta.cached_rows == 0 and len(self._calls_of(sent)) > 1
        else:
            own = sum(len(call.contents) for call in self._calls_of(sent))
            if reply.meta.cached_rows != len(sent.contents) - own:
                raise Violation(f"{reply.meta.cached_rows} rows known of {len(sent.contents)}, {own} computed for it")
            self.seen["known at once"] += not own and reply.meta.queue_s == 0

    def _calls_of(self, sent: Sent) -> list[Call]:
        return [call for call in self.calls if call.request.id == sent.request.id]

    def _check_now(self) -> None:
        if self.broken is not None:
            raise self.broken
        if any(not sent.ended and self.clock() > sent.deadline + EPSILON for sent in self.sent):
            raise Violation("a request has not ended though its time has passed")
        running = Counter(content for call in self.live for content in set(call.contents))
        if not self.ragged and any(number > 1 for number in running.values()):
            raise Violation(f"computed twice at a time: {running.most_common(1)}")
        wanted = {content for sent in self.sent if not sent.ended for content in sent.contents}
        for call in self.live:
            if not wanted.intersection(call.contents):
                raise Violation(f"nobody waits for {call.contents}, and it goes on")
            self.seen["runs gone on without their owner"] += self.sent[int(call.request.id)].ended
        self._check_store()

    def _check_store(self) -> None:
        store = self.cache.scopes.stores["m"]
        size = sum(size_of(key, row) for key, row in store._rows.items())
        counted = [counts for _, counts in self.cache.scopes.counts()]
        if not size == store.bytes == sum(counts.bytes for counts in counted) <= store.capacity:
            raise Violation(f"{size} bytes kept, {store.bytes} counted, {store.capacity} allowed")
        if len(store) != sum(counts.items for counts in counted):
            raise Violation("items are miscounted")

    def _check_end(self) -> None:
        self._check_now()
        left = [len(self.cache.flights), self.gate.in_flight, len(self.live), len(self.cache._tasks)]
        if any(left):
            raise Violation(f"left behind: {left} flights, requests in the gate, calls, tasks")
        counted = [counts for _, counts in self.cache.scopes.counts()]
        rows = sum(counts.hits + counts.misses + counts.shared for counts in counted)
        if rows != sum(len(sent.contents) for sent in self.sent):
            raise Violation("hits, misses and shared rows do not add up")
        for name in ("hits", "misses", "shared", "evictions"):
            self.seen[name] += sum(getattr(counts, name) for counts in counted)


def simulate(seed: int) -> World:
    """Lives through one seed's world. Raises `Violation`."""
    world = World(seed)
    world.run()
    return world
