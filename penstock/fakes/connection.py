"""One connection to a fake provider: HTTP/1.1, as much of it as clients of providers speak."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

from penstock.fakes.calls import Answer, Call
from penstock.fakes.plans import GOOD, Plan

GARBAGE = b"data: {\x00\xff not what was promised\n\n"


class Owner(Protocol):
    """Who answers."""

    left: int
    """Calls whose client was gone before the end of the answer."""

    def heard(self, call: Call) -> tuple[Answer, Plan]:
        """The answer to a call, and how it goes."""

    def opened(self, connection: Connection) -> None:
        """A client has connected."""

    def closed(self, connection: Connection) -> None:
        """It has left, or was cut off."""


class Connection(asyncio.Protocol):
    """Answers one call after the other."""

    def __init__(self, owner: Owner):
        self._owner = owner
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._owner.closed(self)
        if self._task is not None:
            self._owner.left += 1
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._buffer += data
        self._next()

    def _next(self) -> None:
        """Answers the next call, once it is whole and the one before is answered."""
        if self._task is not None:
            return
        call = taken(self._buffer)
        if call is None:
            return
        answer, plan = self._owner.heard(call)
        if plan is GOOD:
            self._write(head(answer) + b"".join(map(wrapper(answer), answer.parts)) + last(answer))
            self._next()
            return
        self._task = asyncio.get_running_loop().create_task(self._play(answer, plan))

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def _play(self, answer: Answer, plan: Plan) -> None:
        """Answers as planned."""
        await asyncio.sleep(plan.wait_s)
        await self._drip(head(answer), plan.drip_s)
        wrap = wrapper(answer)
        for index, part in enumerate((*answer.parts, b"")):
            if index == plan.after and not await self._harmed(plan, wrap):
                self._task = None
                self._next()
                return
            if plan.gap_s:
                await asyncio.sleep(plan.gap_s)
            if part:
                self._write(wrap(part))
        self._write(last(answer))
        self._task = None
        self._next()

    async def _harmed(self, plan: Plan, wrap: Callable[[bytes], bytes]) -> bool:
        """Does what the plan says goes wrong; False when nothing may follow."""
        match plan.then:
            case "garbage":
                self._write(wrap(GARBAGE))
                return True
            case "silent":
                await asyncio.sleep(86_400)
            case "end" if end := wrap(b""):
                self._write(end)
            case "end":
                self._close()
            case "cut":
                await asyncio.sleep(0.02)
                self._close()
        return False

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    async def _drip(self, data: bytes, pause_s: float) -> None:
        """A head, at once or byte by byte."""
        if not pause_s:
            self._write(data)
            return
        for index in range(len(data)):
            self._write(data[index : index + 1])
            await asyncio.sleep(pause_s)


def taken(buffer: bytearray) -> Call | None:
    """The first call in the buffer, which it leaves; None while it is not whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    start = end + 4
    stop = start + int(headers.get("content-length", "0"))
    if len(buffer) < stop:
        return None
    body = bytes(buffer[start:stop])
    del buffer[:stop]
    method, path, _ = first.split(" ", 2)
    return Call(method, path, headers, body)


def head(answer: Answer) -> bytes:
    """The status line and headers of an answer."""
    lines = [f"HTTP/1.1 {answer.status} {phrase(answer.status)}", f"content-type: {answer.content_type}"]
    if answer.streamed:
        lines.append("transfer-encoding: chunked")
    else:
        lines.append(f"content-length: {sum(map(len, answer.parts))}")
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def phrase(status: int) -> str:
    """What a status is called; some providers have statuses of their own."""
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Other"


def wrapper(answer: Answer) -> Callable[[bytes], bytes]:
    """How a part of the body goes out."""
    return chunk if answer.streamed else bytes


def chunk(part: bytes) -> bytes:
    """A chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def last(answer: Answer) -> bytes:
    """What ends a body."""
    return chunk(b"") if answer.streamed else b""
