"""A request of the path, made of what its sender is and says: the only way of the doors to one."""

from __future__ import annotations

import hashlib

from penstock.core.deadline import NEVER, Deadline
from penstock.core.generation import Generation
from penstock.core.request import Request
from penstock.core.tensors import Tensors
from penstock.protocols.answer import DEFAULT_LEVEL
from penstock.protocols.hints import hints_of
from penstock.protocols.http.message import HttpRequest
from penstock.protocols.visible import check


def request_of(
    http: HttpRequest,
    model: str,
    payload: Tensors | Generation,
    version: str | None = None,
    outputs: tuple[str, ...] | None = None,
    deadline: Deadline = NEVER,
    priority: int = DEFAULT_LEVEL,
    *,
    named: str = "",
    whole: bool = False,
) -> Request:
    """The request. `named`: what its sender calls the model, where that is not its name; `whole`: its answer goes out
    in one piece.

    Raises `Forbidden` when the sender's key is not for the model, `BadInput` for a wish that cannot be read.
    """
    principal = http.principal
    if principal.routes is not None and not (named and principal.may_use(named)):
        check(principal, model, version)
    return Request(
        http.id,
        model,
        payload,
        version,
        outputs,
        deadline,
        priority,
        tenant_of(http),
        hints_of(http.headers),
        principal,
        whole=whole,
    )


def tenant_of(http: HttpRequest) -> str | None:
    """Who asks, for fair shares and limits: the owner of a key that was checked; of any other key a digest, never the
    key itself; None without one."""
    if http.principal.tenant:
        return http.principal.tenant
    headers = http.headers
    key = headers.get(b"authorization") or headers.get(b"x-api-key") or headers.get(b"api-key")
    return None if not key else hashlib.blake2b(key, digest_size=12).hexdigest()
